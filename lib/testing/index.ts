export { type StoreBehaviour, type StoreContractOptions, storeContract } from './store-contract.js';
export { TestClock } from './test-clock.js';
