import { codeLengths, countSymbols, huffmanDecode, huffmanEncode } from "slimlab/coding";

const symbols = Uint8Array.of(0, 0, 0, 0, 0, 1, 1, 2);
const lengths = codeLengths(countSymbols(symbols, 3));
const bytes = huffmanEncode(symbols, lengths);
console.log(bytes.length); // 2
console.log(huffmanDecode(bytes, lengths, symbols.length).join(" ")); // 0 0 0 0 0 1 1 2
