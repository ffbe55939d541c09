/** One line of an access log. */
export interface LoggedRequest {
  readonly address: string;
  readonly atMs: number;
  readonly method: string;
  readonly path: string;
}

// Apache's combined format: address identity user [time] "method path protocol" ...
const LINE =
  /^(\S+) \S+ \S+ \[(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)\] "([A-Z]+) (\S+)/;

function parseLine(line: string): LoggedRequest | null {
  const match = LINE.exec(line);
  if (match === null) return null;
  const [, address, day, month, year, hours, minutes, seconds, zoneHours, zoneMinutes, method, path] = match;
  const time = `${day} ${month} ${year} ${hours}:${minutes}:${seconds} ${zoneHours}${zoneMinutes}`;
  return { address: address ?? '', atMs: Date.parse(time), method: method ?? '', path: path ?? '' };
}

/** The requests of an access log. */
export interface AccessLog {
  /** In the order of the lines. */
  readonly requests: readonly LoggedRequest[];
  /** The numbers of the lines that are not in the combined format: real logs have a few. */
  readonly unread: readonly number[];
}

/** Reads an access log. */
export function parseLog(text: string): AccessLog {
  const requests: LoggedRequest[] = [];
  const unread: number[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue;
    const request = parseLine(line);
    if (request === null) unread.push(index + 1);
    else requests.push(request);
  }
  return { requests, unread };
}
