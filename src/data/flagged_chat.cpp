// Maps flags to bytes of the text.
#include "src/data/flagged_chat.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "src/data/find_turn.h"
#include "src/data/row_fields.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

[[noreturn]] void fail_message(const RenderedRow& rendered, std::size_t message, const std::string& what) {
  fail_row(rendered.where + ", message " + std::to_string(message + 1), what + "; use another data.template");
}

/// The content's range in the text, if both ends are known.
std::optional<Range> content_in_text(const RenderedRow& rendered, std::size_t message) {
  const ContentEnds found = find_content(rendered.chat_template, rendered.conversation, rendered.text, message);
  return found.begin && found.end ? std::optional(Range{*found.begin, *found.end}) : std::nullopt;
}

/// Extends the range by the following special token, ignoring white space between.
Range with_special_token(const RenderedRow& rendered, Range span) {
  const TokenBorders& borders = rendered.borders;
  for (std::size_t i = 0; i < borders.ids.size(); ++i) {
    const Range& token = borders.ranges[i];
    if (token.begin >= span.end && token.begin < token.end && is_special_id(rendered.tokenizer, borders.ids[i])) {
      const bool next = is_blank(std::string_view(rendered.text).substr(span.end, token.begin - span.end));
      return {span.begin, next ? token.end : span.end};
    }
  }
  return span;
}

/// The part's bytes in the text, if the content is printed verbatim or trimmed.
Range part_in_text(const RenderedRow& rendered, const UntrainedPart& part, std::optional<Range> content) {
  content = content ? content : content_in_text(rendered, part.message);
  const std::string& written = rendered.conversation.messages[part.message]["content"].get_ref<const std::string&>();
  const std::size_t cut = std::min(written.find_first_not_of(kBlank), written.size());
  const std::string_view printed =
      content ? std::string_view(rendered.text).substr(content->begin, content->end - content->begin) : std::string_view();
  if (content && printed == written) {
    return {content->begin + part.begin, content->begin + part.end};
  }
  if (content && !printed.empty() && std::string_view(written).substr(cut).starts_with(printed)) {
    const auto moved = [&](std::size_t at) { return content->begin + std::min(at < cut ? 0 : at - cut, printed.size()); };
    return {moved(part.begin), moved(part.end)};
  }
  fail_message(rendered, part.message,
               "the chat template does not print the content as it stands, so that \"train_detail\" cannot be followed");
}

/// `spans` without the bytes of `hole`.
std::vector<Range> without(const std::vector<Range>& spans, Range hole) {
  std::vector<Range> out;
  for (const Range& span : spans) {
    const Range before{span.begin, std::min(span.end, hole.begin)};
    const Range after{std::max(span.begin, hole.end), span.end};
    for (const Range& rest : {before, after}) {
      if (rest.begin < rest.end) {
        out.push_back(rest);
      }
    }
  }
  return out;
}

/// The ranges of the messages that the flags concern.
std::vector<std::optional<AnswerSpan>> message_spans(const RenderedRow& rendered, const std::vector<AnswerSpan>& answers,
                                                     const std::vector<std::size_t>& answer_messages, bool train_all) {
  std::vector<std::optional<AnswerSpan>> out(rendered.conversation.messages.size());
  for (std::size_t i = 0; i < answer_messages.size(); ++i) {
    out[answer_messages[i]] = answers[i];
  }
  const MessageTraining asked = train_all ? MessageTraining::no : MessageTraining::yes;
  const auto& parts = rendered.row.untrained_parts;
  const auto is_asked_for = [&](std::size_t message) {
    return rendered.row.training_of(message) == asked ||
           (train_all && std::any_of(parts.begin(), parts.end(), [&](const auto& part) { return part.message == message; }));
  };
  for (std::size_t i = 0; i < out.size(); ++i) {
    const json& message = rendered.conversation.messages[i];
    if (out[i] || !is_asked_for(i) || message.value("role", "") == "assistant") {
      continue;
    }
    const std::optional<Range> content =
        message.contains("content") && message["content"].is_string() ? content_in_text(rendered, i) : std::nullopt;
    if (!content) {
      fail_message(rendered, i, "the message is marked, but cannot be found in what the chat template makes of the conversation");
    }
    out[i] = AnswerSpan{with_special_token(rendered, *content), content};
  }
  return out;
}

}  // namespace

bool has_train_flags(const ChatRow& row) { return !row.training.empty() || !row.untrained_parts.empty(); }

FlaggedSpans flagged_spans(const RenderedRow& rendered, const std::vector<AnswerSpan>& answers,
                           const std::vector<std::size_t>& answer_messages, bool train_all) {
  if (answers.size() != answer_messages.size()) {
    fail_row(rendered.where,
             "the chat template prints " + std::to_string(answers.size()) + " of " + std::to_string(answer_messages.size()) +
                 " answers, and which of them are marked as not trained cannot be told; use another data.template");
  }
  const auto found_spans = message_spans(rendered, answers, answer_messages, train_all);
  FlaggedSpans out;
  if (train_all) {
    out.trained.push_back({0, rendered.text.size()});
  }
  for (std::size_t i = 0; i < found_spans.size(); ++i) {
    const MessageTraining training = rendered.row.training_of(i);
    if (found_spans[i] && train_all && training == MessageTraining::no) {
      out.hidden.push_back(found_spans[i]->span);
    } else if (found_spans[i] && !train_all && training != MessageTraining::no && training != MessageTraining::prompt) {
      out.trained.push_back(found_spans[i]->span);
    }
  }
  for (const UntrainedPart& part : rendered.row.untrained_parts) {
    if (found_spans[part.message]) {
      out.trained = without(out.trained, part_in_text(rendered, part, found_spans[part.message]->content));
    }
  }
  return out;
}

}  // namespace lora_dist
