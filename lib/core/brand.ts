/**
 * Lets `instanceof` know what another copy of the library in the same process has made: its other form, or another
 * version. Classes that extend the branded one are told apart as ever.
 */
export function brand(type: abstract new (...given: never[]) => object, name: string): void {
  const symbol = Symbol.for(`nestjs-ratelimit:${name}`);
  Object.defineProperty(type.prototype, symbol, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === 'object' && value !== null && symbol in value;
    },
  });
}
