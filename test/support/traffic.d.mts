export function randomFrom(seed: number): () => number;
export function zipf(count: number, exponent: number, random: () => number): () => number;
