// A part of the results: what was measured, as tables, and the bars that it is held against.

const CODE = /[|]/g;
const cell = (value) => String(value).replace(CODE, '\\|');
const row = (cells) => `| ${cells.map(cell).join(' | ')} |`;

/** A table in Markdown. */
export const table = (columns, rows) =>
  [row(columns), row(columns.map((_, at) => (at === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n');

/** 1234567 as 1,234,567. */
export const whole = (value) => Math.round(value).toLocaleString('en-US');
export const times = (value) => `${value.toFixed(2)} x`;

/** What is to be reached, and was or was not. */
export const atLeast = (what, value, bar, show = times) => ({
  what,
  value: show(value),
  bar: `at least ${show(bar)}`,
  isMet: value >= bar,
});
export const atMost = (what, value, bar, show = whole) => ({
  what,
  value: show(value),
  bar: `at most ${show(bar)}`,
  isMet: value <= bar,
});

const barRow = ({ what, value, bar, isMet }) => [what, value, bar, isMet ? 'yes' : '**no**'];

/** A section in Markdown. */
export const sectionText = ({ title, text, tables, bars = [] }) =>
  [
    `## ${title}`,
    text,
    ...tables,
    ...(bars.length > 0 ? [table(['bar', 'measured', 'wanted', 'reached'], bars.map(barRow))] : []),
  ].join('\n\n');
