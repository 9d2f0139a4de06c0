// Two slots used in turn.
#include "src/base/table_window.h"

#include <algorithm>
#include <string>

#include "kernels/common/work_record.h"

namespace lora_dist {

TableBuffers take_table_buffers(const FrozenBase& base, Arena& arena) {
  TableBuffers taken;
  if (base.head.gathers()) {
    const std::int64_t bytes = std::max(base.embedding.largest_window(), base.head.largest_window());
    for (std::size_t i = 0; i < taken.size(); ++i) {
      taken[i] = arena.take<std::byte>(MemoryKind::windows, "vocabulary " + std::to_string(i), bytes);
    }
  }
  return taken;
}

TableWindow::TableWindow(const TableBuffers& memory, Communicator& shards, const Stream& compute, const Stream& gathers)
    : shards_(shards), compute_(compute), gathers_(gathers) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_[i].bytes = memory[i];
  }
}

void TableWindow::prefetch(const VocabTable& table, std::int64_t chunk) {
  const std::span<std::byte> mine = table.slices[static_cast<std::size_t>(chunk)];
  if (!table.gathers() || which_.find(mine.data()) >= 0) {
    return;
  }
  Slot& slot = slots_[static_cast<std::size_t>(which_.take(mine.data()))];
  note_work(gathers_, kChunkFetch, {.bytes = static_cast<std::int64_t>(mine.size())});
  if (slot.gather.under_way()) {  // an unused prefetch
    slot.gather.wait(times_);
  }
  slot.read.stream_wait(gathers_);
  slot.gather.start(shards_, mine, slot.bytes.first(mine.size() * static_cast<std::size_t>(table.shards)), times_);
  move(slot);
}

void TableWindow::move(Slot& slot) {
  if (slot.gather.under_way() && slot.gather.move(times_)) {
    finish(slot);
  }
}

void TableWindow::finish(Slot& slot) {
  if (slot.gather.under_way()) {
    slot.gather.wait(times_);
    slot.filled.record(gathers_);
  }
}

ConstTensorView TableWindow::acquire(const VocabTable& table, std::int64_t chunk) {
  if (!table.gathers()) {
    return table.in_place(chunk, shards_.rank());
  }
  prefetch(table, chunk);
  Slot& slot = slots_[static_cast<std::size_t>(which_.hold(table.slices[static_cast<std::size_t>(chunk)].data(), true))];
  finish(slot);
  slot.filled.stream_wait(compute_);
  return table.view_of(chunk, slot.bytes.data());
}

void TableWindow::release(const VocabTable& table, std::int64_t chunk) {
  if (table.gathers()) {
    const int i = which_.hold(table.slices[static_cast<std::size_t>(chunk)].data(), false);
    slots_[static_cast<std::size_t>(i)].read.record(compute_);
  }
}

void TableWindow::progress() {
  for (Slot& slot : slots_) {
    move(slot);
  }
}

void TableWindow::begin_change() {
  for (Slot& slot : slots_) {
    finish(slot);
    slot.filled.stream_wait(compute_);
  }
  which_ = {};
}

void TableWindow::end_change() {
  for (Slot& slot : slots_) {
    slot.read.record(compute_);
  }
}

void TableWindow::drop() {
  for (Slot& slot : slots_) {
    slot.gather.drop();
  }
}

}  // namespace lora_dist
