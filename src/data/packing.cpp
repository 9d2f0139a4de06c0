// Best fit over a bounded number of open sequences: nearly as tight as sorting by length, and roughly keeps the order of samples.
#include "src/data/packing.h"

#include <algorithm>

namespace lora_dist {
namespace {

constexpr std::size_t kOpenSequences = 128;

struct Open {
  std::size_t sequence = 0;
  std::int64_t room = 0;
};

/// The open sequence that the sample fills best; the oldest among equals.
std::vector<Open>::iterator best_fit(std::vector<Open>& open, std::int64_t length) {
  auto best = open.end();
  for (auto it = open.begin(); it != open.end(); ++it) {
    if (it->room >= length && (best == open.end() || it->room < best->room)) {
      best = it;
    }
  }
  return best;
}

void close_fullest(std::vector<Open>& open) {
  open.erase(std::min_element(open.begin(), open.end(), [](const Open& a, const Open& b) { return a.room < b.room; }));
}

}  // namespace

std::vector<Sequence> pack_samples(std::span<const Sample> samples, std::int64_t max_length, bool packing,
                                   std::int64_t virtual_tokens) {
  const std::int64_t room = max_length + virtual_tokens;
  std::vector<Sequence> sequences;
  std::vector<Open> open;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto length = static_cast<std::int64_t>(samples[i].input_ids.size()) + virtual_tokens;
    if (const auto found = packing ? best_fit(open, length) : open.end(); found != open.end()) {
      sequences[found->sequence].push_back(static_cast<std::int32_t>(i));
      found->room -= length;
      if (found->room == 0) {
        open.erase(found);
      }
      continue;
    }
    sequences.push_back({static_cast<std::int32_t>(i)});
    if (packing && length < room) {
      open.push_back({sequences.size() - 1, room - length});
      if (open.size() > kOpenSequences) {
        close_fullest(open);
      }
    }
  }
  return sequences;
}

}  // namespace lora_dist
