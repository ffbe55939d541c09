// The order of the test files: those that measure time first, while the process of Jest is small and the machine rested.
import Sequencer from '@jest/test-sequencer';

const FIRST = ['test/redis/failure.test.ts', 'test/redis/causes.test.ts'];

export default class TestOrder extends Sequencer {
  async sort(tests) {
    const sorted = await super.sort(tests);
    const rank = ({ path }) => {
      const at = FIRST.findIndex((file) => path.endsWith(file));
      return at < 0 ? FIRST.length : at;
    };
    return [...sorted].sort((a, b) => rank(a) - rank(b));
  }
}
