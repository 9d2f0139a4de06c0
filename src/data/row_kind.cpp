// Maps keys to kinds.
#include "src/data/row_kind.h"

#include <algorithm>
#include <array>

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<KeyPair, 7> kQaKeys = {{{"question", "answer"},
                                             {"prompt", "completion"},
                                             {"prompt", "response"},
                                             {"query", "response"},
                                             {"question", "response"},
                                             {"input", "output"},
                                             {"inputs", "targets"}}};

// All known keys. Other keys may be data (the first row of a table without a header).
constexpr std::array<std::string_view, 26> kKnownKeys = {
    "instruction", "input",    "output", "system", "system_prompt", "history",      "messages", "conversations", "tools",
    "functions",   "question", "answer", "prompt", "completion",    "query",        "response", "context",       "text",
    "input_ids",   "labels",   "data",   "chosen", "rejected",      "conversation", "inputs",   "targets"};

bool has(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && !found->is_null();
}

bool has_list(const json& row, const char* key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_array();
}

bool is_preference(const json& row) {
  const auto label = row.find("label");
  const bool labelled = has(row, "prompt") && has(row, "completion") && label != row.end() && label->is_boolean();
  return (has(row, "chosen") && has(row, "rejected")) || labelled;
}

bool is_tree(const json& row) {
  const auto prompt = row.find("prompt");
  return has_list(row, "replies") || (prompt != row.end() && prompt->is_object() && prompt->contains("replies"));
}

}  // namespace

std::optional<KeyPair> qa_keys_of(const json& row) {
  const auto* const found = std::find_if(kQaKeys.begin(), kQaKeys.end(),
                                         [&](const KeyPair& keys) { return has(row, keys.question) && has(row, keys.answer); });
  return found == kQaKeys.end() ? std::nullopt : std::optional(*found);
}

bool has_message_lists(const json& row) { return has_list(row, "prompt") && has_list(row, "completion"); }

bool is_alternating_texts(const json& list) {
  return list.is_array() && !list.empty() &&
         std::all_of(list.begin(), list.end(), [](const json& each) { return each.is_string(); });
}

const json* message_list_of(const json& row) {
  for (const char* key : {"messages", "conversations"}) {
    if (has(row, key)) {
      return &row[key];
    }
  }
  if (has_list(row, "conversation")) {
    return &row["conversation"];
  }
  return has_list(row, "data") && is_alternating_texts(row["data"]) ? &row["data"] : nullptr;
}

std::optional<RowKind> kind_of(const json& row) {
  if (has(row, "input_ids")) {
    return RowKind::ids;
  }
  const bool texts_alone = !has(row, "messages") && !has(row, "conversations") && !has(row, "conversation");
  if ((message_list_of(row) != nullptr && !texts_alone) || has_message_lists(row)) {
    return RowKind::chat;
  }
  const bool factory_row = has(row, "prompt") && has(row, "query") && has(row, "response");
  if ((has(row, "instruction") && (has(row, "output") || has(row, "response"))) || factory_row) {
    return RowKind::alpaca;
  }
  if (qa_keys_of(row)) {
    return RowKind::qa;
  }
  if (has(row, "text")) {
    return RowKind::text;
  }
  return message_list_of(row) != nullptr ? std::optional(RowKind::chat) : std::nullopt;
}

std::string unsupported_row_reason(const json& row) {
  if (message_list_of(row) != nullptr) {
    return "";
  }
  if (is_preference(row)) {
    return "preference data (" + std::string(has(row, "chosen") ? "chosen and rejected" : "completions with a label") +
           "), which DPO, KTO and reward models learn from and which is not trained here; give the answers to learn alone, as "
           "messages or as prompt and completion";
  }
  if (is_tree(row)) {
    return "a tree of messages (OASST); give each conversation to learn, a path from the root to a leaf, as messages";
  }
  if ((has(row, "role") && has(row, "content")) || (has(row, "from") && has(row, "value"))) {
    return "one message and not a conversation; a row is {\"messages\": [...]}, the whole conversation";
  }
  if (has(row, "question") && (has(row, "choices") || has(row, "options")) &&
      !(has(row, "answer") && row["answer"].is_string())) {
    return "a question with choices and without the text of an answer; write the right choice's text as \"answer\"";
  }
  if (has(row, "question") && has(row, "answers") && !has(row, "answer")) {
    return "a question with \"answers\"; give one text as \"answer\"";
  }
  const bool named = has(row, "parent_id") || has(row, "message_tree_id") || has(row, "message_id");
  if (named && has(row, "text") && has(row, "role")) {
    return "one message of a tree (OASST); join the messages of each conversation, along parent_id, to one row with messages";
  }
  return "";
}

bool is_known_key(std::string_view key) { return std::find(kKnownKeys.begin(), kKnownKeys.end(), key) != kKnownKeys.end(); }

std::string keys_of(const json& row) {
  std::string known;
  std::size_t others = 0;
  for (const auto& [key, value] : row.items()) {
    if (value.is_null()) {
      continue;
    }
    if (is_known_key(key)) {
      known += (known.empty() ? "" : ", ") + key;
    } else {
      ++others;
    }
  }
  if (others == 0) {
    return known.empty() ? "no keys" : "the keys " + known;
  }
  const std::string unknown = std::to_string(others) + (others == 1 ? " key that is" : " keys that are") + " not known";
  return known.empty() ? unknown : "the keys " + known + " and " + unknown;
}

}  // namespace lora_dist
