/** Returns the element with an id. All of them are in page.html, so none is missing. */
export function byId<Type extends HTMLElement>(id: string): Type {
  const result = document.getElementById(id);
  if (result === null) throw new Error(`page.html has no #${id}`);
  return result as Type;
}

/** Creates an element with attributes and contents. Strings become text, never HTML. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...contents: readonly (string | Node)[]
): HTMLElementTagNameMap[Name] {
  const created = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) created.setAttribute(attribute, value);
  created.append(...contents);
  return created;
}

/** Sets an element's text, and hides the element if it is empty. Leaves equal text alone, so that screen readers announce only changes. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
  target.hidden = text === '';
}

const numbers = new Intl.NumberFormat();
const percents = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });

export const formatCount = (value: number): string => numbers.format(value);
export const formatShare = (part: number, whole: number): string =>
  whole === 0 ? '–' : percents.format(part / whole);
export const pluralize = (value: number, one: string, many: string): string =>
  `${formatCount(value)} ${value === 1 ? one : many}`;
