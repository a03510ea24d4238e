import * as nn from "../dist/lib/nn/index.js";
import { loadDataset } from "../dist/lib/datasets/index.js";
const tf = nn.tf;
await nn.useBackend("wasm");
const d = await loadDataset("mnist-10k");
const small = nn.firstOf(d.train, 1280);
const times = {};
for (const k of tf.getKernelsForBackend("wasm")) { const f=k.kernelFunc; k.kernelFunc=(a)=>{ const t=performance.now(); const r=f(a); const dt=performance.now()-t; const key=k.kernelName+(k.kernelName==="BatchMatMul"?(a.attrs.transposeA?"A":"")+(a.attrs.transposeB?"B":"")+a.inputs.a.shape+"|"+a.inputs.b.shape:k.kernelName.startsWith("Conv2DBack")?(a.attrs.filterShape??a.inputs.filter.shape):""); (times[key]??=[0,0]); times[key][0]+=dt; times[key][1]++; return r; } }
const m = nn[process.argv[2]??"lenet5"](1);
await nn.train(m, small, {epochs:1});
for (const k in times) delete times[k];
const n0 = tf.memory().numTensors, c0=process.cpuUsage();
const h = await nn.train(m, small, {epochs:1});
const c=process.cpuUsage(c0);
console.log(n0, tf.memory().numTensors, "wall s/8000:", h.epochs[0].seconds*8000/1280, "cpu", (c.user+c.system)/1e6*8000/1280, h.epochs[0].accuracy);
console.table(Object.entries(times).sort((a,b)=>b[1][0]-a[1][0]).slice(0,20).map(([k,[t,n]])=>({k, ms:+(t/20).toFixed(2), n:n/20})));
