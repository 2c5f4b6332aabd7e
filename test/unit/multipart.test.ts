/** Where the model stands in a form, and which forms are refused because another parser might find another one. */
import { strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { findMultipartModel, multipartModel } from "../../src/pipeline/multipart.ts";

const TYPE = "multipart/form-data; boundary=xyz";
const MODEL = 'Content-Disposition: form-data; name="model"';
const FILE = 'Content-Disposition: form-data; name="file"; filename="a \\"b\\"; name=c.wav"\r\nContent-Type: audio/wav';

function part(head: string, value: string): string {
  return `--xyz\r\n${head}\r\n\r\n${value}\r\n`;
}

function form(...parts: string[]): string {
  return `${parts.join("")}--xyz--\r\n`;
}

/** The model that is found, or what is wrong. */
function read(text: string, type = TYPE): string {
  const body = Buffer.from(text, "latin1");
  const result = findMultipartModel(body, type);
  return result === "found" ? `=${body.toString("latin1", multipartModel.start, multipartModel.end)}` : result;
}

const READABLE: [string, string, string][] = [
  ["alone", form(part(MODEL, "whisper-1")), "=whisper-1"],
  ["after a file with an escaped name", form(part(FILE, "\0\r\n\r\n--xy"), part(MODEL, "m")), "=m"],
  ["in lower case and bare", form(part("content-disposition:form-data;name=model", "m")), "=m"],
  ["with more headers", form(part(`${MODEL}\r\nContent-Type: text/plain; charset=utf-8`, "m")), "=m"],
  ["empty", form(part(MODEL, "")), "="],
  ["with spaces, which are part of it", form(part(MODEL, " m ")), "= m "],
  ["with an epilogue", `${form(part(MODEL, "m"))}epilogue`, "=m"],
  ["without the last line break", `${part(MODEL, "m")}--xyz--`, "=m"],
  ["nowhere", form(part(FILE, "x")), "none"],
  ["nowhere: another name", form(part('Content-Disposition: form-data; name="model2"', "x")), "none"],
  ["nowhere: only in a file's name", form(part(`${FILE.replace("c.wav", "model")}`, "x")), "none"],
  ["nowhere: no part at all", "--xyz--\r\n", "none"],
  ["twice", form(part(MODEL, "a"), part(MODEL, "b")), "duplicate"],
  [
    "twice, in other case",
    form(part(MODEL, "a"), part("CONTENT-DISPOSITION: Form-Data; NAME=model", "b")),
    "duplicate",
  ],
];

for (const [where, text, expected] of READABLE) {
  test(`the model ${where}`, () => strictEqual(read(text), expected));
}

const TYPES: [string, string][] = [
  ['multipart/form-data; boundary="xyz"', "=m"],
  ["Multipart/Form-Data;Boundary=xyz;", "=m"],
  ["multipart/form-data; charset=utf-8; boundary=xyz", "=m"],
  ["multipart/form-data", "invalid"],
  ["multipart/form-data; boundary=", "invalid"],
  ["multipart/form-data; boundary=other", "invalid"],
  ["multipart/form-data; boundary=xyz; boundary=other", "invalid"],
  ["multipart/form-data; boundary=xyz; Boundary=xyz", "invalid"],
  ['multipart/form-data; x="; boundary=other"; boundary=xyz', "=m"],
  ['multipart/form-data; x="; boundary=xyz"; boundary=other', "invalid"],
  ["multipart/form-data; boundary*=utf-8''other; boundary=xyz", "invalid"],
  ["multipart/form-data; boundary=xyz other", "invalid"],
  [`multipart/form-data; boundary=${"x".repeat(71)}`, "invalid"],
];

for (const [type, expected] of TYPES) {
  test(`the content type ${type}`, () => strictEqual(read(form(part(MODEL, "m")), type), expected));
}

const SECOND_HEADS = [
  'Content-Disposition: form-data;\r\n name="model"',
  'Content-Disposition : form-data; name="model"',
  'Content-Disposition: form-data; name = "model"',
  'Content-Disposition: form-data; name="mo\\del"',
  "Content-Disposition: form-data; name*=utf-8''model",
  'Content-Disposition: form-data; name*0="mo"; name*1="del"',
  'Content-Disposition: form-data; name="x"; name="model"',
  "Content-Disposition: form-data; name=<model>",
  'Content-Disposition: attachment; name="model"',
  'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"',
  'X: y\nContent-Disposition: form-data; name="model"',
  "X-Nothing: 1",
];

for (const head of SECOND_HEADS) {
  test(`a second part that others may take for the model: ${JSON.stringify(head)}`, () =>
    strictEqual(read(form(part(MODEL, "allowed"), part(head, "other"))), "invalid"));
}

const BROKEN: [string, string][] = [
  ["a preamble", `preamble\r\n${form(part(MODEL, "m"))}`],
  ["line feeds only", form(part(MODEL, "m")).replaceAll("\r\n", "\n")],
  ["a delimiter that goes on", form(part(MODEL, "m")).replace("--xyz\r\n", "--xyz \r\n")],
  ["an end that goes on", `${part(MODEL, "m")}--xyz--x\r\n${form(part(MODEL, "other"))}`],
  ["no end", part(MODEL, "m")],
  ["a head without an end", `--xyz\r\n${MODEL}\r\n--xyz--\r\n`],
  ["a delimiter within a head", `--xyz\r\n${MODEL}\r\n${part("A: b", "other")}--xyz--\r\n`],
  ["a head of 5,000 bytes", form(part(`A: ${"b".repeat(5_000)}\r\n${MODEL}`, "m"))],
  ["300 parts", form(...Array.from({ length: 300 }, () => part(FILE, "x")))],
  ["nothing", ""],
];

for (const [what, text] of BROKEN) {
  test(`a form that cannot be read: ${what}`, () => strictEqual(read(text), "invalid"));
}
