/**
 * What the body says about routing. Step of the pipeline. A body of the JSON endpoints must be an object with a model;
 * on other paths a JSON or multipart body may name one, and anything else passes as it is.
 */
import { ERRORS, type ErrorRow } from "../base/errors.ts";
import { MODEL_BYTES_MAX, USER_BYTES_MAX } from "../base/limits.ts";
import {
  RequestScan,
  SCAN_DUPLICATE,
  SCAN_FIELDS,
  SCAN_INVALID,
  SCAN_MEMORY,
  SCAN_NOT_OBJECT,
  SCAN_OK,
  SCAN_TOO_DEEP,
  SCAN_UTF8,
  SCAN_WRONG_TYPE,
} from "../providers/request-scan.ts";
import { ENDPOINT_COMPLETIONS, ENDPOINT_MODERATIONS, takesModel } from "./endpoint.ts";
import type { Exchange, Verdict } from "./exchange.ts";
import { ModelNames } from "./model-names.ts";
import { findMultipartModel, multipartModel } from "./multipart.ts";
import { promptsIn } from "./prompts.ts";
import type { Upload } from "./upload.ts";

/** Of the body that was read last; splice.ts works by its offsets in the same turn. */
export const scan = new RequestScan();

const modelNames = new ModelNames();

/** Where the model's name stands in the body that was read last, for the splice; -1: nowhere. */
export const modelRange = { start: -1, end: -1, json: true };

const QUOTE = 0x22;

/** Not application/jsonl and the like. */
const JSON_TYPE = /^application\/json[ \t]*(?:;|$)/;

/** Sets `model`, `stream`, `textBytes` and `outputTokensMax`. 400 for what cannot be read. */
export function readBody(exchange: Exchange): Verdict {
  modelRange.start = -1;
  if (takesModel(exchange.endpoint)) return readRequired(exchange);
  if (exchange.bodyBytes === 0) return null;
  if (JSON_TYPE.test(exchange.contentType)) return readOptional(exchange);
  return exchange.contentType.startsWith("multipart/form-data") ? readMultipart(exchange) : null;
}

function readRequired(exchange: Exchange): Verdict {
  if (exchange.bodyBytes === 0) return ERRORS.bodyEmpty;
  const code = scanBody(exchange);
  if (code !== SCAN_OK) return refusal(exchange, code);
  if (scan.modelStart >= 0) return takeAll(exchange);
  // The provider has a default for these (OpenAI API reference, moderations): the passthrough target takes them.
  return exchange.endpoint === ENDPOINT_MODERATIONS ? null : ERRORS.modelMissing;
}

function readOptional(exchange: Exchange): Verdict {
  const code = scanBody(exchange);
  if (code === SCAN_NOT_OBJECT) return null;
  if (code !== SCAN_OK) return refusal(exchange, code);
  return scan.modelStart < 0 ? null : takeFields(exchange);
}

/** Looks at what has come of an upload. Sets `model` when it is there; 400 for what cannot become right any more. */
export function readPart(exchange: Exchange, upload: Upload): Verdict {
  const code = upload.look(exchange, false);
  if (code !== SCAN_OK) return refusal(exchange, code);
  return scan.modelEnd < 0 || exchange.model !== "" ? null : takeFields(exchange);
}

function scanBody(exchange: Exchange): number {
  if (exchange.upload !== null) return exchange.upload.look(exchange, true);
  const body = exchange.bodyView();
  if (body === null) return SCAN_INVALID;
  const { bounds, fields } = exchange.snapshot;
  return fields === null ? scan.scan(body, bounds.jsonDepth) : scan.scanFor(fields, body, bounds.jsonDepth);
}

function takeFields(exchange: Exchange): Verdict {
  exchange.stream = scan.stream;
  if (exchange.snapshot.fields !== null) exchange.features = scan.features;
  exchange.textBytes = scan.textBytes;
  exchange.answers = Math.max(scan.choices, 1);
  exchange.usageAsked = scan.includeUsage;
  exchange.outputTokensMax = scan.outputMax < 0 ? -1 : scan.outputMax * exchange.answers;
  if (exchange.snapshot.readUser && exchange.user === "" && scan.userStart >= 0) exchange.user = userText(exchange);
  // The name of an upload that has begun was read, and is the provider's by now.
  if (exchange.request !== null) return null;
  modelRange.start = scan.modelStart;
  modelRange.end = scan.modelEnd;
  modelRange.json = true;
  return takeModel(exchange, modelText(exchange));
}

/** Of a whole body. Only limits and budgets ask how much all answers together may have. */
function takeAll(exchange: Exchange): Verdict {
  const refused = takeFields(exchange);
  if (exchange.endpoint !== ENDPOINT_COMPLETIONS || exchange.snapshot.limits.length === 0) return refused;
  const prompts = promptsIn(exchange.bodyView());
  exchange.answers *= prompts;
  if (exchange.outputTokensMax > 0) exchange.outputTokensMax *= prompts;
  return refused;
}

/** Two spellings of one name are one user. What is no string is read as it is spelled: 7 is the user "7". */
function userText({ body }: Exchange): string {
  const end = Math.min(scan.userEnd, scan.userStart + USER_BYTES_MAX);
  if (body === null) return "";
  if (body[scan.userStart] !== QUOTE) return body.toString("utf8", scan.userStart, end);
  const text = body.toString("utf8", scan.userStart + 1, end - 1);
  return text.includes("\\") && end === scan.userEnd ? String(JSON.parse(`"${text}"`)) : text;
}

function modelText({ body }: Exchange): string {
  if (body === null) return "";
  if (scan.modelEscaped) return String(JSON.parse(body.toString("utf8", scan.modelStart, scan.modelEnd)));
  return modelNames.read(body, scan.modelStart + 1, scan.modelEnd - 1);
}

function takeModel(exchange: Exchange, model: string): Verdict {
  if (model === "") return ERRORS.modelMissing;
  if (model.length > MODEL_BYTES_MAX) return exchange.fail(ERRORS.modelNotFound, model.slice(0, MODEL_BYTES_MAX));
  exchange.model = model;
  return null;
}

function readMultipart(exchange: Exchange): Verdict {
  const body = exchange.bodyView();
  if (body === null) return null;
  const found = findMultipartModel(body, exchange.contentType);
  if (found === "invalid") return ERRORS.invalidMultipart;
  if (found === "duplicate") return exchange.fail(ERRORS.fieldDuplicate, "model");
  if (found === "none") return null;
  modelRange.start = multipartModel.start;
  modelRange.end = multipartModel.end;
  modelRange.json = false;
  return takeModel(exchange, body.toString("utf8", multipartModel.start, multipartModel.end));
}

function refusal(exchange: Exchange, code: number): ErrorRow {
  switch (code) {
    case SCAN_UTF8:
      return ERRORS.invalidUtf8;
    case SCAN_TOO_DEEP:
      return exchange.fail(ERRORS.jsonTooDeep, String(exchange.snapshot.bounds.jsonDepth));
    case SCAN_NOT_OBJECT:
      return ERRORS.jsonNotObject;
    case SCAN_DUPLICATE:
      return exchange.fail(ERRORS.fieldDuplicate, SCAN_FIELDS[scan.detail] ?? "");
    case SCAN_WRONG_TYPE:
      return exchange.fail(ERRORS.fieldType, SCAN_FIELDS[scan.detail] ?? "");
    case SCAN_MEMORY:
      return ERRORS.overloaded;
    default:
      return exchange.fail(ERRORS.invalidJson, scan.detail < 0 ? "" : ` near byte ${scan.detail}`);
  }
}
