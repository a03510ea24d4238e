import { FloatSlider } from "slimlab/widgets";

// In a notebook, the slider's value as the cell's last expression shows it.
const sparsity = new FloatSlider({ value: 0.5, description: "sparsity" });
console.log(sparsity.value); // 0.5
