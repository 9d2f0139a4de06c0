// Records the work of operators on a dry stream (stream.h): a step is counted by running the code that computes it.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/common/stream.h"

namespace lora_dist {

/// The work of one call. An operator states what the predicted step time depends on, and leaves the rest 0.
struct OperatorWork {
  double flops = 0.0;      // floating point operations of the shapes, in the usual count
  std::int64_t bytes = 0;  // read and written
};

/// Sums over the calls of one operator in one part of a step.
struct WorkEntry {
  std::string_view part;
  std::string_view name;
  std::int64_t calls = 0;
  OperatorWork work;
};

class WorkRecord {
 public:
  /// Adds a call to the current part. `name`: the operator's name, a literal.
  void add(std::string_view name, const OperatorWork& work);

  const std::vector<WorkEntry>& entries() const { return entries_; }
  /// The sum of the entries for which `chosen` is true.
  template <class Chosen>
  WorkEntry sum(Chosen chosen) const {
    WorkEntry sum;
    for (const WorkEntry& entry : entries_) {
      if (chosen(entry)) {
        sum.calls += entry.calls;
        sum.work.flops += entry.work.flops;
        sum.work.bytes += entry.work.bytes;
      }
    }
    return sum;
  }
  void clear() { entries_.clear(); }

  /// Starts a part, and returns the previous one. `part`: a literal.
  std::string_view begin_part(std::string_view part) { return std::exchange(part_, part); }

 private:
  std::string_view part_;
  std::vector<WorkEntry> entries_;
};

/// Names the part of a step until the end of the scope, for a record; a nested part interrupts it. Costs nothing without a
/// record.
class WorkPart {
 public:
  WorkPart(const Stream& stream, std::string_view part)
      : record_(stream.record), before_(record_ == nullptr ? part : record_->begin_part(part)) {}
  WorkPart(const WorkPart&) = delete;
  WorkPart& operator=(const WorkPart&) = delete;
  ~WorkPart() {
    if (record_ != nullptr) {
      record_->begin_part(before_);
    }
  }

 private:
  WorkRecord* record_;
  std::string_view before_;
};

/// Records work other than an operator's, if the stream has a record.
inline void note_work(const Stream& stream, std::string_view name, const OperatorWork& work = {}) {
  if (stream.record != nullptr) {
    stream.record->add(name, work);
  }
}

/// An operator's call in a dry run. Returns zero if the operator has a result.
template <class Result>
Result run_dry(const Stream& stream, std::string_view name, const OperatorWork& work) {
  stream.record->add(name, work);
  return Result();
}

}  // namespace lora_dist
