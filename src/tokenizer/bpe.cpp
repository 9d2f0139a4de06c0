// The order of merges is that of Hugging Face's tokenizers (models/bpe/word.rs): least rank first, then leftmost.
#include "src/tokenizer/bpe.h"

#include <cstdio>
#include <queue>

#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

struct Symbol {
  std::int32_t id = 0;
  std::int64_t previous = -1, next = -1;
  bool removed = false;
};

struct Candidate {
  std::int32_t rank = 0;
  std::int64_t at = 0;  // the left symbol
  std::int32_t id = 0;  // what the two become
};

struct Later {
  bool operator()(const Candidate& a, const Candidate& b) const { return a.rank != b.rank ? a.rank > b.rank : a.at > b.at; }
};

using CandidateQueue = std::priority_queue<Candidate, std::vector<Candidate>, Later>;

/// Ids of the character's bytes; false when the vocabulary lacks one of them.
bool add_bytes(const BpeModel& model, std::string_view character, std::vector<std::int32_t>& out) {
  const std::size_t before = out.size();
  for (const char c : character) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(static_cast<unsigned char>(c)));
    const auto found = model.ids.find(std::string_view(name));
    if (found == model.ids.end()) {
      out.resize(before);
      return false;
    }
    out.push_back(found->second);
  }
  return true;
}

/// One id per character, or its bytes, or unk. A pending unk is put down before the next known character only, so that
/// fuse_unk sees across characters that fell back to bytes, as in the original.
std::vector<std::int32_t> characters(const BpeModel& model, std::string_view piece) {
  std::vector<std::int32_t> out;
  out.reserve(piece.size());
  bool pending_unk = false;
  while (!piece.empty()) {
    const std::string_view character = piece.substr(0, utf8_maximal_subpart(piece));
    piece.remove_prefix(character.size());
    if (const auto found = model.ids.find(character); found != model.ids.end()) {
      if (pending_unk) {
        out.push_back(*model.unk);
        pending_unk = false;
      }
      out.push_back(found->second);
    } else if (model.byte_fallback && add_bytes(model, character, out)) {
      continue;
    } else if (model.unk) {
      if (pending_unk && !model.fuse_unk) {
        out.push_back(*model.unk);
      }
      pending_unk = true;
    }
  }
  if (pending_unk) {
    out.push_back(*model.unk);
  }
  return out;
}

std::vector<Symbol> linked(const std::vector<std::int32_t>& ids) {
  std::vector<Symbol> symbols(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto at = static_cast<std::int64_t>(i);
    symbols[i] = {ids[i], at - 1, i + 1 < ids.size() ? at + 1 : -1, false};
  }
  return symbols;
}

void offer(const BpeModel& model, const std::vector<Symbol>& symbols, std::int64_t left, CandidateQueue& queue) {
  if (left < 0 || symbols[static_cast<std::size_t>(left)].next < 0) {
    return;
  }
  const Symbol& a = symbols[static_cast<std::size_t>(left)];
  const Symbol& b = symbols[static_cast<std::size_t>(a.next)];
  if (const auto found = model.merges.find(merge_key(a.id, b.id)); found != model.merges.end()) {
    queue.push({found->second.rank, left, found->second.id});
  }
}

/// Whether the queue's entry still describes the two symbols that stand there now.
bool still_holds(const BpeModel& model, const std::vector<Symbol>& symbols, const Candidate& candidate) {
  const Symbol& left = symbols[static_cast<std::size_t>(candidate.at)];
  if (left.removed || left.next < 0) {
    return false;
  }
  const auto found = model.merges.find(merge_key(left.id, symbols[static_cast<std::size_t>(left.next)].id));
  return found != model.merges.end() && found->second.id == candidate.id;
}

void merge_all(const BpeModel& model, std::vector<Symbol>& symbols) {
  CandidateQueue queue;
  for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
    offer(model, symbols, static_cast<std::int64_t>(i), queue);
  }
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (!still_holds(model, symbols, best)) {
      continue;
    }
    Symbol& left = symbols[static_cast<std::size_t>(best.at)];
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    right.removed = true;
    left.id = best.id;
    left.next = right.next;
    if (left.next >= 0) {
      symbols[static_cast<std::size_t>(left.next)].previous = best.at;
    }
    offer(model, symbols, left.previous, queue);
    offer(model, symbols, best.at, queue);
  }
}

}  // namespace

void encode_piece(const BpeModel& model, std::string_view piece, std::vector<std::int32_t>& out) {
  if (piece.empty()) {
    return;
  }
  if (model.ignore_merges) {
    if (const auto found = model.ids.find(piece); found != model.ids.end()) {
      out.push_back(found->second);
      return;
    }
  }
  std::vector<Symbol> symbols = linked(characters(model, piece));
  if (symbols.empty()) {
    return;
  }
  merge_all(model, symbols);
  for (std::int64_t at = 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next) {
    out.push_back(symbols[static_cast<std::size_t>(at)].id);
  }
}

}  // namespace lora_dist
