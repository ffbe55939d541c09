import { TestClock } from 'nestjs-ratelimit/testing';

describe('TestClock', () => {
  test('stands still until it is advanced', () => {
    const clock = new TestClock(1_000);
    expect(clock.now()).toBe(1_000);
    clock.advance('15min');
    expect(clock.now()).toBe(901_000);
    clock.advance(0);
    clock.set(500);
    expect(clock.now()).toBe(500);
    expect(() => clock.advance(-1)).toThrow(RangeError);
    expect(() => clock.advance('soon' as '1s')).toThrow('[bad-duration]');
  });

  test('tasks run in order when they become due, until they are stopped', () => {
    const clock = new TestClock(0);
    const seen: string[] = [];
    const stop = clock.every(20, () => seen.push(`a${clock.now()}`));
    clock.every(30, () => {
      seen.push(`b${clock.now()}`);
      if (clock.now() >= 60) stop();
    });
    clock.advance(65);
    expect(seen).toEqual(['a20', 'b30', 'a40', 'a60', 'b60']);
    clock.advance(25);
    expect(seen.slice(5)).toEqual(['b90']);
  });
});
