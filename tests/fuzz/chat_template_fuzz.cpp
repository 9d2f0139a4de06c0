// libFuzzer target: any bytes as a chat template for a fixed conversation. Errors are allowed; crashes, hangs and unbounded
// memory are not. The bytes after a NUL are the conversation's first message.
#include <cstddef>
#include <cstdint>
#include <string>

#include "src/chat_template/chat_template.h"
#include "src/core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lora_dist;
  std::string source(reinterpret_cast<const char*>(data), size);
  std::string text = "How are you? \xEA\xB0\x80";
  if (const std::size_t end = source.find('\0'); end != std::string::npos) {
    text = source.substr(end + 1);
    source.resize(end);
  }
  Conversation conversation;
  conversation.messages = {{{"role", "system"}, {"content", "Be brief."}},
                           {{"role", "user"}, {"content", text}},
                           {{"role", "assistant"},
                            {"content", "<think>well</think>Fine."},
                            {"tool_calls", {{{"name", "f"}, {"arguments", {{"x", 1}}}}}}}};
  conversation.special_tokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
  jinja::Limits limits;
  limits.work = std::size_t{1} << 18;
  try {
    render_chat(parse_chat_template(source, "fuzz", false), conversation, limits);
  } catch (const Error&) {
  } catch (const RenderError&) {
  }
  return 0;
}
