import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs");
require("@tensorflow/tfjs-backend-wasm");
await tf.setBackend("wasm"); await tf.ready();
const core = require("@tensorflow/tfjs-core");
console.log(core === tf, core.engine === tf.engine, tf.getBackend());
const { registerKernel, unregisterKernel, getKernel, backend_util, util } = core;
// naive filter backprop
registerKernel({kernelName: "Conv2DBackpropFilter", backendName: "wasm", kernelFunc: ({inputs, backend, attrs}) => {
  const {x, dy} = inputs; const {strides, pad, dataFormat, dimRoundingMode, filterShape} = attrs;
  const info = backend_util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad, dimRoundingMode, false);
  const {batchSize:N, inHeight:H, inWidth:W, inChannels:C, outHeight:OH, outWidth:OW, outChannels:K, filterHeight:R, filterWidth:S, strideHeight:sh, strideWidth:sw} = info;
  const pt = info.padInfo.top, pl = info.padInfo.left;
  const rows = R*S*C, cols = N*OH*OW;
  // im2col transposed: [rows, cols] 
  const colT = backend.makeOutput([cols, rows], "float32");
  const X = backend.typedArrayFromHeap(x); const out = backend.typedArrayFromHeap(colT);
  let p = 0;
  for (let n=0;n<N;n++) for (let oy=0;oy<OH;oy++) for (let ox=0;ox<OW;ox++) for (let r=0;r<R;r++){ const iy=oy*sh-pt+r; for (let s=0;s<S;s++){ const ix=ox*sw-pl+s;
    if (iy<0||iy>=H||ix<0||ix>=W) { for(let c=0;c<C;c++) out[p++]=0; } else { let q=((n*H+iy)*W+ix)*C; for(let c=0;c<C;c++) out[p++]=X[q++]; } } }
  const tr = getKernel("Transpose","wasm").kernelFunc({inputs:{x:colT}, backend, attrs:{perm:[1,0]}});
  const d2 = {dataId: dy.dataId, shape:[cols,K], dtype:"float32"};
  backend.incRef(dy.dataId);
  const res = getKernel("BatchMatMul","wasm").kernelFunc({inputs:{a:tr,b:d2}, backend, attrs:{transposeA:false, transposeB:false}});
  backend.disposeData(dy.dataId); backend.disposeData(colT.dataId); backend.disposeData(tr.dataId);
  res.shape = filterShape; return res;
}});
const times = {};
const wrap = ()=>{ for (const k of core.getKernelsForBackend("wasm")) { const f=k.kernelFunc; k.kernelFunc=(a)=>{ const t=performance.now(); const r=f(a); const dt=performance.now()-t; (times[k.kernelName]??=[0,0]); times[k.kernelName][0]+=dt; times[k.kernelName][1]++; return r; } } };
if (process.argv[2]!=="noprof") wrap();
const m = tf.sequential();
m.add(tf.layers.conv2d({inputShape:[28,28,1], filters:20, kernelSize:5, name:"conv1"}));
m.add(tf.layers.maxPooling2d({poolSize:2,strides:2}));
m.add(tf.layers.conv2d({filters:50, kernelSize:5, name:"conv2"}));
m.add(tf.layers.maxPooling2d({poolSize:2,strides:2}));
m.add(tf.layers.flatten()); m.add(tf.layers.dense({units:500,activation:"relu"})); m.add(tf.layers.dense({units:10, activation:"softmax"}));
m.compile({optimizer: tf.train.momentum(0.01,0.9), loss:"categoricalCrossentropy"});
const B=64; const x=tf.randomNormal([B,28,28,1],0,1,"float32",1); const y=tf.oneHot(tf.tensor1d(Array.from({length:B},(_, i)=>i%10),"int32"),10);
await m.trainOnBatch(x,y); for (const k in times) delete times[k];
const N=20; const t0=performance.now(); for(let i=0;i<N;i++) await m.trainOnBatch(x,y); const dt=performance.now()-t0;
console.log("per batch", (dt/N).toFixed(1), "epoch of 8000:", (dt/N*125/1000).toFixed(1)+"s");
console.table(Object.entries(times).sort((a,b)=>b[1][0]-a[1][0]).slice(0,25).map(([k,[t,n]])=>({k, ms:+(t/N).toFixed(2), n:n/N})));
