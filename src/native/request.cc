// Binding of RequestHead and KeyTags, and the way from uWebSockets.js's request object to the request in memory. Gateway worker.
#include <elf.h>
#include <link.h>

#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "key-tags.h"
#include "request-head.h"
#include "uws-object.h"

namespace sluice {
namespace {

// Of a thread: one head is read at a time, and looked at before the next.
struct Reader {
  RequestHead head;
  KeyTags keys;
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  // What readHeadList was given last.
  std::vector<std::string> list;
  // Memory of `headFields`, which JavaScript reads.
  double* fields = nullptr;
};

Reader& reader() {
  thread_local Reader instance;
  return instance;
}

// Index in `names`; -1: not there.
int index_of(const std::vector<std::string>& names, std::string_view name) {
  for (size_t i = 0; i < names.size(); i++) {
    if (names[i] == name) return static_cast<int>(i);
  }
  return -1;
}

void fill_fields(Reader& own) {
  const RequestHead& head = own.head;
  const bool has_key = (head.flags() & RequestHead::HAS_KEY) != 0;
  own.fields[RequestHead::FLAGS] = head.flags();
  own.fields[RequestHead::METHOD] = index_of(own.methods, head.method());
  own.fields[RequestHead::PATH] = index_of(own.paths, head.path());
  own.fields[RequestHead::CONTENT_LENGTH] = static_cast<double>(head.content_length());
  own.fields[RequestHead::HEADER_BYTES] = static_cast<double>(head.header_bytes());
  own.fields[RequestHead::TARGET_BYTES] = static_cast<double>(head.target_bytes());
  own.fields[RequestHead::KEY] = has_key ? own.keys.find(head.text(RequestHead::KEY_TEXT)) : KeyTags::UNKNOWN;
}

napi_value read(napi_env env, const UwsHeader& line, const UwsHeader* headers) {
  Reader& own = reader();
  own.head.read(line, headers);
  fill_fields(own);
  const std::string& lines = own.head.lines();
  napi_value result = nullptr;
  ok(env, napi_create_string_latin1(env, lines.data(), lines.size(), &result));
  return result;
}

napi_value one_argument(napi_env env, napi_callback_info info) {
  size_t argc = 1;
  napi_value argument = nullptr;
  return ok(env, napi_get_cb_info(env, info, &argc, &argument, nullptr, nullptr)) ? argument : nullptr;
}

// readHead(request): lines.
napi_value read_head(napi_env env, napi_callback_info info) {
  const UwsHeader* request = static_cast<const UwsHeader*>(uws_object(one_argument(env, info)));
  if (request != nullptr) return read(env, request[0], request + 1);
  napi_throw_type_error(env, "SLUICE_NATIVE", "readHead: not a request in its handler");
  return nullptr;
}

// readHeadList(list): the same of method, target, and name and value of each header.
napi_value read_head_list(napi_env env, napi_callback_info info) {
  std::vector<std::string>& list = reader().list;
  if (!strings_of(env, one_argument(env, info), &list)) return nullptr;
  std::vector<UwsHeader> headers;
  for (size_t i = 0; i + 1 < list.size(); i += 2) headers.push_back({list[i], list[i + 1]});
  headers.push_back({{}, {}});
  return read(env, headers[0], headers.data() + 1);
}

// headText(which): one of RequestHead::Text.
napi_value head_text(napi_env env, napi_callback_info info) {
  uint32_t which = RequestHead::TEXTS;
  if (!ok(env, napi_get_value_uint32(env, one_argument(env, info), &which))) return nullptr;
  if (which >= RequestHead::TEXTS) {
    napi_throw_range_error(env, "SLUICE_NATIVE", "headText: there is no such text");
    return nullptr;
  }
  const std::string_view text = reader().head.text(static_cast<int>(which));
  napi_value result = nullptr;
  ok(env, napi_create_string_utf8(env, text.data(), text.size(), &result));
  return result;
}

// headForm(methods, paths, requestIdBytesMax): what METHOD and PATH are indexes in.
napi_value head_form(napi_env env, napi_callback_info info) {
  size_t argc = 3;
  napi_value argv[3];
  uint32_t bytes_max = 0;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  Reader& own = reader();
  if (!strings_of(env, argv[0], &own.methods) || !strings_of(env, argv[1], &own.paths)) return nullptr;
  if (ok(env, napi_get_value_uint32(env, argv[2], &bytes_max))) own.head.request_id_bytes_max = bytes_max;
  return nullptr;
}

// rememberKey(number): the key of the head that was read last has this record.
napi_value remember_key(napi_env env, napi_callback_info info) {
  int32_t number = KeyTags::UNKNOWN;
  if (ok(env, napi_get_value_int32(env, one_argument(env, info), &number)) && number >= 0) reader().keys.remember(number);
  return nullptr;
}

napi_value forget_keys(napi_env, napi_callback_info) {
  reader().keys.forget();
  return nullptr;
}

std::string hex(const uint8_t* bytes, size_t length) {
  std::string text;
  for (size_t i = 0; i < length; i++) {
    for (const int digit : {bytes[i] >> 4, bytes[i] & 15}) text += "0123456789abcdef"[digit];
  }
  return text;
}

// sipHash(secret: 16 bytes, text): hexadecimal, so that tests can compare it with the published vectors.
napi_value sip_hash(napi_env env, napi_callback_info info) {
  size_t argc = 2;
  napi_value argv[2];
  Bytes secret;
  Bytes text;
  if (!ok(env, napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr))) return nullptr;
  if (!bytes_of(env, argv[0], &secret) || !bytes_of(env, argv[1], &text)) return nullptr;
  uint64_t words[2] = {0, 0};
  std::memcpy(words, secret.data, secret.length < sizeof words ? secret.length : sizeof words);
  const Tag tag = SipHash(words[0], words[1]).of({reinterpret_cast<const char*>(text.data), text.length});
  const std::string digest = hex(reinterpret_cast<const uint8_t*>(&tag), sizeof tag);
  napi_value result = nullptr;
  ok(env, napi_create_string_latin1(env, digest.data(), digest.size(), &result));
  return result;
}

std::string build_id_in(const uint8_t* note, const uint8_t* end) {
  while (end - note >= static_cast<ptrdiff_t>(sizeof(ElfW(Nhdr)))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, note, sizeof header);
    const uint8_t* name = note + sizeof header;
    const uint8_t* body = name + ((header.n_namesz + 3) & ~3u);
    if (header.n_type == NT_GNU_BUILD_ID && std::memcmp(name, "GNU", 4) == 0) return hex(body, header.n_descsz);
    note = body + ((header.n_descsz + 3) & ~3u);
  }
  return "";
}

int find_uws(dl_phdr_info* module, size_t, void* id) {
  if (std::strstr(module->dlpi_name, "/uws_") == nullptr) return 0;
  for (int i = 0; i < module->dlpi_phnum; i++) {
    const ElfW(Phdr)& part = module->dlpi_phdr[i];
    const uint8_t* begin = reinterpret_cast<const uint8_t*>(module->dlpi_addr + part.p_vaddr);
    std::string* found = static_cast<std::string*>(id);
    if (part.p_type == PT_NOTE && found->empty()) *found = build_id_in(begin, begin + part.p_memsz);
  }
  return 1;
}

// isKnownUws(): whether the uWebSockets.js of this process is one whose memory can be read here.
napi_value is_known_uws(napi_env env, napi_callback_info) {
  std::string id;
  dl_iterate_phdr(find_uws, &id);
  bool known = false;
  for (const std::string_view one : UWS_BUILD_IDS) known = known || one == id;
  napi_value result = nullptr;
  ok(env, napi_get_boolean(env, known, &result));
  return result;
}

// Makes exports.headFields, and holds it as long as the environment lives.
void define_fields(napi_env env, napi_value exports) {
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  napi_ref held = nullptr;
  if (!ok(env, napi_create_arraybuffer(env, RequestHead::FIELDS * sizeof(double), &data, &buffer))) return;
  if (!ok(env, napi_create_typedarray(env, napi_float64_array, RequestHead::FIELDS, buffer, 0, &array))) return;
  if (!ok(env, napi_create_reference(env, buffer, 1, &held))) return;
  if (ok(env, napi_set_named_property(env, exports, "headFields", array))) reader().fields = static_cast<double*>(data);
}

}  // namespace

void register_request(napi_env env, napi_value exports) {
  define(env, exports, "readHead", read_head);
  define(env, exports, "readHeadList", read_head_list);
  define(env, exports, "headText", head_text);
  define(env, exports, "headForm", head_form);
  define(env, exports, "rememberKey", remember_key);
  define(env, exports, "forgetKeys", forget_keys);
  define(env, exports, "sipHash", sip_hash);
  define(env, exports, "isKnownUws", is_known_uws);
  define_fields(env, exports);
}

}  // namespace sluice
