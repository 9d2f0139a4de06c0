// Sums calls. A walk has tens of thousands of calls, and about forty entries.
#include "kernels/common/work_record.h"

#include <algorithm>

namespace lora_dist {

namespace {

/// Compares literals by address: a literal with two addresses makes two entries, which sums join.
bool is_same(std::string_view a, std::string_view b) { return a.data() == b.data(); }

}  // namespace

void WorkRecord::add(std::string_view name, const OperatorWork& work) {
  auto at = std::ranges::find_if(entries_, [&](const WorkEntry& e) { return is_same(e.name, name) && is_same(e.part, part_); });
  if (at == entries_.end()) {
    at = entries_.insert(at, WorkEntry{part_, name, 0, {}});
  }
  ++at->calls;
  at->work.flops += work.flops;
  at->work.bytes += work.bytes;
}

}  // namespace lora_dist
