// State machines over the events of model.vocab and model.merges.
#include "src/tokenizer/model_lists.h"

#include <cmath>
#include <memory>
#include <utility>

#include "src/core/error.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Kind = JsonEvent::Kind;
using Shape = ModelLists::Shape;

constexpr double kIdLimit = 1 << 24;  // far above any vocabulary; limits allocations for invalid ids
constexpr std::size_t kUsualTokens = 1 << 17, kUsualBytes = 1 << 20;

bool begins(const JsonEvent& event) {
  return event.depth == 0 && event.kind != Kind::object_end && event.kind != Kind::array_end;
}

Shape shape_of(Kind kind) {
  return kind == Kind::object_begin  ? Shape::object
         : kind == Kind::array_begin ? Shape::list
         : kind == Kind::null        ? Shape::absent
                                     : Shape::other;
}

JsonLocation item(const JsonLocation& location, std::size_t i) {
  return {location.file, location.path + "[" + std::to_string(i) + "]"};
}

class VocabReader {
 public:
  VocabReader(ModelLists& lists, JsonLocation location) : lists_(lists), location_(std::move(location)) {}

  void operator()(const JsonEvent& event) {
    if (begins(event)) {
      lists_.vocab_shape = shape_of(event.kind);
      lists_.vocab = {};
      lists_.pieces.clear();
      lists_.vocab.reserve(event.kind == Kind::object_begin ? kUsualTokens : 0, kUsualBytes);
    } else if (event.depth > 0) {
      lists_.vocab_shape == Shape::object ? read_token(event) : read_piece(event);
    }
  }

 private:
  void read_token(const JsonEvent& event) {
    if (event.kind == Kind::key && event.depth == 1) {
      token_.assign(*event.text);
      hash_ = TokenTable::hash_of(token_);
      lists_.vocab.expect_slot(hash_);
      return;
    }
    if (event.kind != Kind::integer || event.number < 0 || event.number >= kIdLimit) {
      fail(location_, "must be a whole number from 0 to " + std::to_string(static_cast<std::int64_t>(kIdLimit) - 1));
    }
    const auto id = static_cast<std::int32_t>(event.number);
    switch (lists_.vocab.insert(token_, id, hash_)) {
      case TokenTable::Inserted::token_known:
        throw key_given_twice(token_);
      case TokenTable::Inserted::id_known:
        fail(location_, "gives the id " + std::to_string(id) + " to two tokens");
      case TokenTable::Inserted::yes:
        break;
    }
  }

  /// [text, score]
  void read_piece(const JsonEvent& event) {
    if (event.kind == Kind::array_begin && event.depth == 1) {
      parts_ = 0;
      lists_.pieces.emplace_back();
    } else if (event.kind == Kind::text && event.depth == 2 && parts_ == 0) {
      parts_ = 1;
      lists_.pieces.back().text = std::move(*event.text);
    } else if ((event.kind == Kind::integer || event.kind == Kind::fraction) && event.depth == 2 && parts_ == 1 &&
               std::isfinite(event.number)) {
      parts_ = 2;
      lists_.pieces.back().score = event.number;
    } else if (event.kind != Kind::array_end || event.depth != 1 || parts_ != 2) {
      const bool inside = event.depth > 1 || event.kind == Kind::array_end;
      fail(item(location_, lists_.pieces.size() - (inside ? 1 : 0)), "must be a list of a piece and its score, a finite number");
    }
  }

  ModelLists& lists_;
  JsonLocation location_;
  std::string token_;
  std::uint32_t hash_ = 0;
  int parts_ = 0;
};

class MergesReader {
 public:
  MergesReader(ModelLists& lists, JsonLocation location) : lists_(lists), location_(std::move(location)) {}

  void operator()(const JsonEvent& event) {
    if (begins(event)) {
      lists_.merges_shape = shape_of(event.kind);
      lists_.merges = {};
      lists_.skipped_merges = 0;
    } else if (event.depth > 0 && lists_.merges_shape == Shape::list) {
      read_merge(event);
    }
  }

 private:
  JsonLocation here() const { return item(location_, lists_.merges.size() + lists_.skipped_merges); }

  void read_merge(const JsonEvent& event) {
    if (event.kind == Kind::text && event.depth == 1) {
      if (event.text->starts_with("#version")) {
        ++lists_.skipped_merges;
      } else {
        add_merge(lists_.merges, *event.text, here());
      }
    } else if (event.kind == Kind::array_begin && event.depth == 1) {
      parts_ = 0;
    } else if (event.kind == Kind::text && event.depth == 2 && parts_ < 2) {
      pair_[parts_++].assign(*event.text);
    } else if (event.kind == Kind::array_end && event.depth == 1 && parts_ == 2) {
      lists_.merges.add(pair_[0], pair_[1]);
    } else {
      fail(here(), "is neither \"left right\" nor [\"left\", \"right\"]");
    }
  }

  ModelLists& lists_;
  JsonLocation location_;
  std::string pair_[2];
  std::size_t parts_ = 0;
};

}  // namespace

void MergeTexts::add(std::string_view left, std::string_view right) {
  bytes_ += left;
  const auto middle = static_cast<std::uint32_t>(bytes_.size());
  bytes_ += right;
  cuts_.push_back({middle, static_cast<std::uint32_t>(bytes_.size())});
}

void ModelLists::take_vocab(TokenTable tokens) {
  vocab = std::move(tokens);
  vocab_shape = Shape::object;
}

void ModelLists::take_merges(MergeTexts texts) {
  merges = std::move(texts);
  merges_shape = Shape::list;
}

void add_merge(MergeTexts& merges, std::string_view text, const JsonLocation& location) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    fail(location, "is neither \"left right\" nor [\"left\", \"right\"]; copy the tokenizer's files again");
  }
  merges.add(text.substr(0, space), text.substr(space + 1));
}

JsonSink vocab_sink(ModelLists& lists, const JsonLocation& location) {
  return [reader = std::make_shared<VocabReader>(lists, location)](const JsonEvent& event) { (*reader)(event); };
}

JsonSink merges_sink(ModelLists& lists, const JsonLocation& location) {
  return [reader = std::make_shared<MergesReader>(lists, location)](const JsonEvent& event) { (*reader)(event); };
}

namespace {

std::map<std::string, JsonSink> sinks_of(ModelLists& lists, const std::filesystem::path& file) {
  const JsonLocation model{file, "model"};
  return {{"model.vocab", vocab_sink(lists, model.at("vocab"))}, {"model.merges", merges_sink(lists, model.at("merges"))}};
}

}  // namespace

TokenizerDocument read_tokenizer_json(const std::filesystem::path& file) {
  TokenizerDocument out;
  out.rest = read_json_file_around(file, ExitCode::model, sinks_of(out.lists, file));
  return out;
}

TokenizerDocument parse_tokenizer_json(std::string_view text, const std::filesystem::path& file) {
  TokenizerDocument out;
  out.rest = parse_json_around(text, sinks_of(out.lists, file));
  return out;
}

TokenizerDocument take_apart(json document, const std::filesystem::path& file) {
  TokenizerDocument out;
  if (document.is_object() && document.contains("model") && document["model"].is_object()) {
    json& model = document["model"];
    for (const char* key : {"vocab", "merges"}) {
      if (const auto found = model.find(key); found != model.end()) {
        send_json(*found, sinks_of(out.lists, file).at(std::string("model.") + key));
        model.erase(found);
      }
    }
  }
  out.rest = std::move(document);
  return out;
}

}  // namespace lora_dist
