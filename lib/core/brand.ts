/**
 * Makes `instanceof` recognize instances that another copy of the library in the same process has created:
 * its ESM or CommonJS form, or another version. For subclasses of the branded class, `instanceof` works as
 * usual.
 */
export function brand(type: abstract new (...args: never[]) => object, name: string): void {
  const symbol = Symbol.for(`nestjs-ratelimit:${name}`);
  Object.defineProperty(type.prototype, symbol, { value: true });
  Object.defineProperty(type, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== type) return Function.prototype[Symbol.hasInstance].call(this, value);
      return typeof value === 'object' && value !== null && symbol in value;
    },
  });
}
