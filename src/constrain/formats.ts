// Formats of strings in JSON Schema, as regular expressions. Each expression allows a part of its format.

const DATE =
  '(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8])))';
const TIME = '(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-3]):[0-5]\\d))';
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?';
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;
const HEX = '[0-9a-f]';

export const formats: ReadonlyMap<string, string> = new Map(
  Object.entries({
    date: DATE,
    time: TIME,
    'date-time': `${DATE}T${TIME}`,
    duration:
      'P(?:\\d{1,4}W|\\d{1,4}Y(?:\\d{1,4}M(?:\\d{1,4}D)?)?|\\d{1,4}D(?:T\\d{1,4}H(?:\\d{1,4}M(?:\\d{1,4}S)?)?)?|T\\d{1,4}[HMS])',
    email: `[a-z0-9_]{1,20}(?:[.+-][a-z0-9_]{1,20}){0,3}@${LABEL}(?:\\.${LABEL}){1,3}`,
    hostname: HOST,
    ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
    ipv6: `${HEX}{1,4}(?::${HEX}{1,4}){7}`,
    uri: `https?://${HOST}(?::[1-9]\\d{1,3})?(?:/[A-Za-z0-9._~-]{1,40}){0,8}/?(?:\\?[a-z]{1,20}=[A-Za-z0-9._~-]{0,40})?`,
    uuid: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`,
  }),
);
