import { MemoryStore } from 'nestjs-ratelimit';
import { storeContract } from 'nestjs-ratelimit/testing';

describe('MemoryStore', () => {
  for (const behaviour of storeContract({ create: (clock) => new MemoryStore({ clock }) })) {
    test(behaviour.name, () => behaviour.run());
  }
});
