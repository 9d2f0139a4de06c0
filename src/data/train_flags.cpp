// Parses training flags.
#include "src/data/train_flags.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "kernels/common/not_trained.h"
#include "src/core/utf8.h"
#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<const char*, 6> kFlags = {"train", "trainable", "loss_mask", "loss", "weight", "mask"};
constexpr std::array<const char*, 11> kRowFlags = {"train", "trainable",     "loss_mask",  "loss",    "weight",
                                                   "mask",  "train_on_turn", "loss_masks", "weights", "message_loss_mask",
                                                   "masks"};
constexpr std::array<const char*, 5> kTokenMasks = {"loss_mask", "completion_mask", "assistant_masks", "assistant_mask",
                                                    "attention_mask"};
// Numeric members of messages that are not flags.
constexpr std::array<std::string_view, 14> kNumbers = {"id",       "index",     "idx",    "turn",       "step",
                                                       "position", "timestamp", "time",   "created_at", "message_id",
                                                       "turn_id",  "score",     "rating", "num_tokens"};

constexpr const char* kZeroOrOne = "must be 0 or 1 (or true or false); fractional loss weights are not supported";

/// The flag; nullopt unless 0, 1, false or true.
std::optional<bool> flag_in(const json& value) {
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  if (value.is_number()) {
    const double number = value.get<double>();
    return number == 0.0 ? std::optional(false) : number == 1.0 ? std::optional(true) : std::nullopt;
  }
  return std::nullopt;
}

/// True for a boolean or a number from 0 to 1 under a plain key.
bool looks_like_flag(const std::string& key, const json& value) {
  const bool share = value.is_number() && value.get<double>() >= 0.0 && value.get<double>() <= 1.0;
  return (value.is_boolean() || share) && key.size() <= 32 &&
         std::find(kNumbers.begin(), kNumbers.end(), key) == kNumbers.end() &&
         std::all_of(key.begin(), key.end(),
                     [](unsigned char c) { return c == '_' || c == '-' || (c >= '0' && c <= '9') || (c | 0x20U) - 'a' < 26U; });
}

/// The meaning of 1.
MessageTraining trained_as(std::string_view key, bool assistant) {
  const bool of_answers = key == "weight" || key == "weights" || key == "loss";
  return assistant || of_answers ? MessageTraining::by_role : MessageTraining::yes;
}

/// `mask` is ambiguous: some programs train where it is true, others do not.
void check_mask(std::string_view key, const json& value, const std::string& location) {
  if ((key == "mask" || key == "masks") && value.is_boolean()) {
    fail_row(location, "\"" + std::string(key) +
                           "\" as true or false is read in two ways, as trained and as hidden; write \"train\": true or false");
  }
}

bool is_fraction(const json& value) { return value.is_number() && value.get<double>() > 0.0 && value.get<double>() < 1.0; }

/// The flag of one key of a message.
MessageTraining meaning_of(const std::string& key, const json& value, bool assistant, const std::string& location) {
  check_mask(key, value, location);
  const std::optional<bool> flag = flag_in(value);
  if (!flag) {
    fail_row(location, "\"" + key + "\" " + kZeroOrOne);
  }
  if (!*flag) {
    return MessageTraining::no;
  }
  return trained_as(key, assistant);
}

/// One flag per message; a shorter list is for the assistant's messages.
void apply_list(const json& list, const std::string& key, ChatRow& chat, const std::string& location) {
  std::vector<std::size_t> answers;
  for (std::size_t i = 0; i < chat.messages.size(); ++i) {
    if (chat.messages[i].value("role", "") == "assistant") {
      answers.push_back(i);
    }
  }
  const bool of_all = list.size() == chat.messages.size();
  if (!of_all && list.size() != answers.size()) {
    fail_row(location, "\"" + key + "\" has " + std::to_string(list.size()) + " entries for " +
                           std::to_string(chat.messages.size()) + " messages, " + std::to_string(answers.size()) +
                           " of them the assistant's; give one for each message");
  }
  chat.training.resize(chat.messages.size(), MessageTraining::by_role);
  for (std::size_t i = 0; i < list.size(); ++i) {
    check_mask(key, list[i], location);
    const std::optional<bool> flag = flag_in(list[i]);
    if (!flag) {
      fail_row(location, "\"" + key + "\"[" + std::to_string(i) + "] " + kZeroOrOne);
    }
    const std::size_t message = of_all ? i : answers[i];
    if (chat.training[message] != MessageTraining::no) {
      chat.training[message] =
          *flag ? trained_as(key, chat.messages[message].value("role", "") == "assistant") : MessageTraining::no;
    }
  }
}

/// LLaMA-Factory's mask_history: only the last answer is trained.
void train_last_answer(ChatRow& chat) {
  chat.training.resize(chat.messages.size(), MessageTraining::by_role);
  bool last = true;
  for (std::size_t i = chat.messages.size(); i-- > 0;) {
    if (chat.messages[i].value("role", "") == "assistant") {
      chat.training[i] = last ? chat.training[i] : MessageTraining::no;
      last = false;
    }
  }
}

/// Bytes of the first `characters` characters.
std::size_t bytes_of(std::string_view text, std::uint64_t characters) {
  std::size_t at = 0;
  for (; characters > 0 && at < text.size(); --characters) {
    at += utf8_character(text.substr(at));
  }
  return at;
}

bool is_detail(const json& detail) {
  const auto offset = [&](const char* key) { return detail.contains(key) && detail[key].is_number_unsigned(); };
  return detail.is_object() && offset("begin_offset") && offset("end_offset") && detail.contains("train") &&
         flag_in(detail["train"]) && detail["begin_offset"].get<std::uint64_t>() <= detail["end_offset"].get<std::uint64_t>();
}

}  // namespace

MessageTraining take_training(json& message, const std::string& location, UnknownFlags& unknown) {
  const bool assistant = message.value("role", "") == "assistant";
  std::string first;
  std::optional<MessageTraining> out;
  for (const char* key : kFlags) {
    const auto found = message.find(key);
    if (found == message.end()) {
      continue;
    }
    const MessageTraining says = meaning_of(key, *found, assistant, location);
    if (out && (says == MessageTraining::no) != (*out == MessageTraining::no)) {
      fail_row(location, "\"" + first + "\" and \"" + key + "\" contradict each other; give one of them");
    }
    first = out ? first : key;
    out = out == MessageTraining::yes ? out : says;
    message.erase(key);
  }
  for (const auto& [key, value] : message.items()) {
    if (looks_like_flag(key, value)) {
      unknown.insert(key);
    }
  }
  return out.value_or(MessageTraining::by_role);
}

void take_train_detail(json& message, std::size_t index, const std::string& location, std::vector<UntrainedPart>& parts) {
  const auto found = message.find("train_detail");
  if (found == message.end()) {
    return;
  }
  const json details = *found;
  message.erase("train_detail");
  if (!details.is_array() || !std::all_of(details.begin(), details.end(), is_detail)) {
    fail_row(location, "\"train_detail\" must be a list of {\"begin_offset\", \"end_offset\", \"train\"}");
  }
  const auto content = message.find("content");
  if (content == message.end() || !content->is_string()) {
    fail_row(location, "\"train_detail\" counts the characters of a content that is text; here is none");
  }
  const std::string& text = content->get_ref<const std::string&>();
  for (const json& detail : details) {
    if (!*flag_in(detail["train"])) {
      const std::size_t begin = bytes_of(text, detail["begin_offset"].get<std::uint64_t>());
      const std::uint64_t last = detail["end_offset"].get<std::uint64_t>();
      const std::size_t end = last >= text.size() ? text.size() : bytes_of(text, last + 1);
      if (begin < end) {
        parts.push_back({index, begin, end});
      }
    }
  }
}

bool apply_row_flags(const json& row, ChatRow* chat, const std::string& location, UnknownFlags& unknown) {
  bool trained = true;
  for (const char* key : kRowFlags) {
    const auto found = row.find(key);
    if (found == row.end()) {
      continue;
    }
    check_mask(key, *found, location);
    if (is_fraction(*found)) {
      fail_row(location, std::string("\"") + key + "\" " + kZeroOrOne);
    }
    if (found->is_array() && chat != nullptr) {
      apply_list(*found, key, *chat, location);
    } else if (const std::optional<bool> flag = flag_in(*found)) {
      trained = trained && *flag;
    } else if (found->is_number() || found->is_array()) {
      unknown.insert(key);
    }
  }
  const auto history = row.find("mask_history");
  if (history != row.end() && chat != nullptr && flag_in(*history).value_or(false)) {
    train_last_answer(*chat);
  }
  return trained;
}

void apply_token_masks(const json& row, IdsRow& ids, const std::string& location) {
  for (const char* key : kTokenMasks) {
    const auto mask = row.find(key);
    if (mask == row.end()) {
      continue;
    }
    const bool fits = mask->is_array() && mask->size() == ids.input_ids.size() && ids.labels.size() == ids.input_ids.size() &&
                      std::all_of(mask->begin(), mask->end(), [](const json& value) { return flag_in(value).has_value(); });
    if (!fits) {
      fail_row(location, std::string("\"") + key + "\" must be a list of 0 and 1, one for each of input_ids");
    }
    for (std::size_t i = 0; i < ids.labels.size(); ++i) {
      if (!*flag_in((*mask)[i])) {
        ids.labels[i] = kNotTrained;
      }
    }
  }
}

}  // namespace lora_dist
