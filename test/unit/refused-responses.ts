/**
 * Responses with which servers have been made to say two things at once: response splitting, smuggling, desynchronization. Each
 * is refused; `reason`: what the operator is told.
 */
const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const SECOND = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

function withHeader(line: string, body = "hello"): string {
  return `${OK}${line}\r\n\r\n${body}`;
}

export interface Refused {
  readonly bytes: string;
  readonly reason: RegExp;
}

const LENGTH = /Content-Length/;
const CODING = /Transfer-Encoding/;
const NAME = /name of a header/;
const VALUE = /value of a header|CR without LF/;
const STATUS = /status/;
const CHUNK = /chunk/;

export const REFUSED: Readonly<Record<string, Refused>> = {
  "two lengths": { bytes: withHeader("Content-Length: 5\r\nContent-Length: 0"), reason: LENGTH },
  "two equal lengths": { bytes: withHeader("Content-Length: 5\r\nContent-Length: 5"), reason: LENGTH },
  "a list of lengths": { bytes: withHeader("Content-Length: 5, 5"), reason: LENGTH },
  "an empty length": { bytes: withHeader("Content-Length:"), reason: LENGTH },
  "a length with a sign": { bytes: withHeader("Content-Length: +5"), reason: LENGTH },
  "a negative length": { bytes: withHeader("Content-Length: -5"), reason: LENGTH },
  "a hexadecimal length": { bytes: withHeader("Content-Length: 0x5"), reason: LENGTH },
  "a length with a blank in it": { bytes: withHeader("Content-Length: 5 0"), reason: LENGTH },
  "a length with a vertical tab": { bytes: withHeader("Content-Length: \x0b5"), reason: VALUE },
  "a length of 16 digits": { bytes: withHeader("Content-Length: 0000000000000005"), reason: LENGTH },
  "a length that wraps to 5": { bytes: withHeader("Content-Length: 18446744073709551621"), reason: LENGTH },
  "a length with a fraction": { bytes: withHeader("Content-Length: 5.0"), reason: LENGTH },
  "a length with a no-break space": { bytes: withHeader("Content-Length: \xa05"), reason: LENGTH },
  "a length, then a coding": {
    bytes: withHeader("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    reason: CODING,
  },
  "a coding, then a length": {
    bytes: withHeader("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    reason: CODING,
  },
  "chunked twice": { bytes: withHeader("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), reason: CODING },
  "chunked in two lines": {
    bytes: withHeader("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    reason: CODING,
  },
  "chunked, then identity": {
    bytes: withHeader("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    reason: CODING,
  },
  "gzip, chunked": { bytes: withHeader("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), reason: CODING },
  "chunked, gzip": { bytes: withHeader("Transfer-Encoding: chunked, gzip", "0\r\n\r\n"), reason: CODING },
  "an empty coding": { bytes: withHeader("Transfer-Encoding:", "0\r\n\r\n"), reason: CODING },
  identity: { bytes: withHeader("Transfer-Encoding: identity"), reason: CODING },
  "a word that begins as chunked": { bytes: withHeader("Transfer-Encoding: chunkedx", "0\r\n\r\n"), reason: CODING },
  "chunked with a parameter": { bytes: withHeader("Transfer-Encoding: chunked;q=1", "0\r\n\r\n"), reason: CODING },
  "chunked with a tab behind it": { bytes: withHeader("Transfer-Encoding: chunked\t", "0\r\n\r\n"), reason: CODING },
  "quoted chunked": { bytes: withHeader('Transfer-Encoding: "chunked"', "0\r\n\r\n"), reason: CODING },
  "chunked with a control character": {
    bytes: withHeader("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    reason: VALUE,
  },
  "chunked in HTTP/1.0": { bytes: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", reason: CODING },
  "a blank before the colon": { bytes: withHeader("Content-Length : 5"), reason: NAME },
  "a tab before the colon": { bytes: withHeader("Transfer-Encoding\t: chunked", "0\r\n\r\n"), reason: NAME },
  "a line without a colon": { bytes: withHeader("Content-Length 5"), reason: NAME },
  "an empty name": { bytes: withHeader(": 5"), reason: NAME },
  "a name with a control character": { bytes: withHeader("Content-\x00Length: 5"), reason: NAME },
  "a name with a byte above 127": { bytes: withHeader("Content-Length\xa0: 5"), reason: NAME },
  "a name in quotes": { bytes: withHeader('"Content-Length": 5'), reason: NAME },
  "a blank before the first header": { bytes: withHeader(" Content-Length: 5"), reason: NAME },
  "a folded line": { bytes: withHeader("X: a\r\n b"), reason: NAME },
  "a folded line with a tab": { bytes: withHeader("X: a\r\n\tContent-Length: 5"), reason: NAME },
  "a folded length": { bytes: withHeader("Content-Length:\r\n 5"), reason: LENGTH },
  "lines that end with LF": { bytes: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", reason: STATUS },
  "a header that ends with LF": { bytes: withHeader("X: a\nContent-Length: 5"), reason: VALUE },
  "a CR in a value": { bytes: withHeader("X: a\rContent-Length: 5"), reason: VALUE },
  "two CR before LF": { bytes: withHeader("X: a\r\r\nContent-Length: 5"), reason: VALUE },
  "a CR where a header begins": { bytes: withHeader("\rX: a"), reason: /CR without LF/ },
  "an empty line with LF only": { bytes: `${OK}Content-Length: 5\r\n\nhello`, reason: NAME },
  "NUL in a value": { bytes: withHeader("X: a\x00b"), reason: VALUE },
  "DEL in a value": { bytes: withHeader("X: a\x7fb"), reason: VALUE },
  "a form feed in a value": { bytes: withHeader("X: a\x0cb"), reason: VALUE },
  "LF in the reason": { bytes: `HTTP/1.1 200 O\nK\r\n\r\n${SECOND}`, reason: STATUS },
  "CR in the reason": { bytes: `HTTP/1.1 200 O\rK\r\n\r\n${SECOND}`, reason: STATUS },
  "NUL in the reason": { bytes: `HTTP/1.1 200 O\0K\r\n\r\n${SECOND}`, reason: STATUS },
  "a line end before the status": { bytes: `\r\n${SECOND}`, reason: /not HTTP/ },
  "HTTP/0.9": { bytes: "hello", reason: /not HTTP/ },
  "HTTP/2": { bytes: "HTTP/2.0 200 OK\r\n\r\n", reason: /not HTTP/ },
  "HTTP/1.2": { bytes: "HTTP/1.2 200 OK\r\n\r\n", reason: STATUS },
  "a version of two digits": { bytes: "HTTP/1.10 200 OK\r\n\r\n", reason: STATUS },
  "http in lower case": { bytes: "http/1.1 200 OK\r\n\r\n", reason: /not HTTP/ },
  RTSP: { bytes: "RTSP/1.0 200 OK\r\n\r\n", reason: /not HTTP/ },
  "a TLS alert": { bytes: "\x15\x03\x01\x00\x02\x02\x46", reason: /not HTTP/ },
  "a tab behind the version": { bytes: "HTTP/1.1\t200 OK\r\n\r\n", reason: STATUS },
  "two blanks behind the version": { bytes: "HTTP/1.1  200 OK\r\n\r\n", reason: STATUS },
  "a status of two digits": { bytes: "HTTP/1.1 20 OK\r\n\r\n", reason: STATUS },
  "a status of four digits": { bytes: "HTTP/1.1 2000 OK\r\n\r\n", reason: STATUS },
  "a status below 100": { bytes: "HTTP/1.1 099 OK\r\n\r\n", reason: STATUS },
  "a status above 599": { bytes: "HTTP/1.1 600 OK\r\n\r\n", reason: STATUS },
  "a status that is no number": { bytes: "HTTP/1.1 2x0 OK\r\n\r\n", reason: STATUS },
  "no status": { bytes: "HTTP/1.1 \r\n\r\n", reason: STATUS },
  "an unasked 101": { bytes: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", reason: /protocols/ },
  "a 100 with a length": { bytes: `HTTP/1.1 100 Continue\r\nContent-Length: 40\r\n\r\n${SECOND}`, reason: /1xx/ },
  "a 103 that is chunked": {
    bytes: `HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n${SECOND}`,
    reason: /1xx/,
  },
  "a 100 that ends the connection": { bytes: `HTTP/1.1 100 Go\r\nConnection: close\r\n\r\n${SECOND}`, reason: /1xx/ },
  "a 100 of HTTP/1.0": { bytes: `HTTP/1.0 100 Continue\r\n\r\n${SECOND}`, reason: /1xx/ },
  "a chunk without a size": { bytes: `${CHUNKED}\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a negative size": { bytes: `${CHUNKED}-5\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size with 0x": { bytes: `${CHUNKED}0x5\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size with a blank before it": { bytes: `${CHUNKED} 5\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size with a blank behind it": { bytes: `${CHUNKED}5 \r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size of 16 digits": { bytes: `${CHUNKED}0000000000000005\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size that wraps to 5": { bytes: `${CHUNKED}10000000000000005\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size that ends with LF": { bytes: `${CHUNKED}5\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a size that ends with CR": { bytes: `${CHUNKED}5\rhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a chunk that is longer than its size": { bytes: `${CHUNKED}5\r\nhello!\r\n0\r\n\r\n`, reason: CHUNK },
  "a chunk that is shorter than its size": { bytes: `${CHUNKED}7\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a chunk that ends with LF": { bytes: `${CHUNKED}5\r\nhello\n0\r\n\r\n`, reason: CHUNK },
  "a chunk without an end": { bytes: `${CHUNKED}5\r\nhello0\r\n\r\n`, reason: CHUNK },
  "an extension with LF": { bytes: `${CHUNKED}5;a\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "an extension with CR": { bytes: `${CHUNKED}5;a\rb\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "an extension with a line end in quotes": { bytes: `${CHUNKED}5;a="\r\n"\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "an extension without a name": { bytes: `${CHUNKED}5;\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "an extension without a value": { bytes: `${CHUNKED}5;a=\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "an extension behind a quoted one": { bytes: `${CHUNKED}5;a="b"c\r\nhello\r\n0\r\n\r\n`, reason: CHUNK },
  "a length in the trailers": { bytes: `${CHUNKED}0\r\nContent-Length: 5\r\n\r\n`, reason: /trailers/ },
  "a coding in the trailers": { bytes: `${CHUNKED}0\r\nTransfer-Encoding: chunked\r\n\r\n`, reason: /trailers/ },
  "Connection in the trailers": { bytes: `${CHUNKED}0\r\nConnection: close\r\n\r\n`, reason: /trailers/ },
  "trailers that end with LF": { bytes: `${CHUNKED}0\r\nX: a\n\n`, reason: VALUE },
  "a folded trailer": { bytes: `${CHUNKED}0\r\nX: a\r\n b\r\n\r\n`, reason: NAME },
};
