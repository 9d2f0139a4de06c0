// The list of names, and those that each kind uses.
#include "src/data/unused_columns.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 36> kTextColumns = {"context",
                                                           "passage",
                                                           "background",
                                                           "documents",
                                                           "document",
                                                           "evidence",
                                                           "system",
                                                           "system_prompt",
                                                           "history",
                                                           "reasoning",
                                                           "rationale",
                                                           "thinking",
                                                           "thought",
                                                           "reasoning_content",
                                                           "explanation",
                                                           "cot",
                                                           "chain_of_thought",
                                                           "solution",
                                                           "choices",
                                                           "options",
                                                           "hint",
                                                           "chosen",
                                                           "rejected",
                                                           "tools",
                                                           "functions",
                                                           "image",
                                                           "images",
                                                           "video",
                                                           "videos",
                                                           "audio",
                                                           "audios",
                                                           "instruction",
                                                           "input",
                                                           "query",
                                                           "few_shot",
                                                           "examples"};

bool has_text(const json& value) {
  return value.is_string() ? !is_blank(value.get_ref<const std::string&>()) : value.is_structured() && !value.empty();
}

bool is_system(std::string_view name) { return name == "system" || name == "system_prompt"; }

/// True if the column's text is the content of the first message.
bool begins_with(const ChatRow& chat, const json& text) {
  return !chat.messages.empty() && chat.messages[0].value("content", json()) == text;
}

bool uses(const json& row, const Row& read, std::string_view name) {
  if (const auto* chat = std::get_if<ChatRow>(&read.content)) {
    return name == "tools" || name == "functions" || (is_system(name) && begins_with(*chat, row[std::string(name)]));
  }
  if (read.kind == RowKind::alpaca) {
    return is_system(name) || name == "history" || name == "instruction" || name == "input" ||
           (name == "query" && !row.contains("instruction")) || (name == "context" && !row.contains("input"));
  }
  if (read.kind == RowKind::qa) {  // the question may be under query or input
    const auto* alpaca = std::get_if<AlpacaRow>(&read.content);
    const json question = alpaca != nullptr ? alpaca->instruction : std::get<QaRow>(read.content).question;
    return is_system(name) || name == "history" || row[std::string(name)] == question;
  }
  constexpr std::array<std::string_view, 9> kBesideText = {"context", "passage", "documents", "image", "images",
                                                           "video",   "videos",  "audio",     "audios"};
  return read.kind == RowKind::ids || std::find(kBesideText.begin(), kBesideText.end(), name) == kBesideText.end();
}

}  // namespace

void note_unused_columns(const json& row, const Row& read, std::set<std::string>& names) {
  for (const auto& [key, value] : row.items()) {
    const bool known = std::find(kTextColumns.begin(), kTextColumns.end(), key) != kTextColumns.end();
    if (known && has_text(value) && !uses(row, read, key)) {
      names.insert(key);
    }
  }
}

}  // namespace lora_dist
