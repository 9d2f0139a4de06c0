// Functions over any transport: parts of values, and strings of different lengths.
#include "src/comm/communicator.h"

#include <algorithm>

#include "src/comm/done_collective.h"

namespace lora_dist {

std::unique_ptr<PendingCollective> Communicator::start_all_reduce_sum(const TensorView& values, WireKind kind) {
  all_reduce_sum(values, kind);
  return std::make_unique<DoneCollective>();
}

std::span<std::byte> bytes_of(const TensorView& values) {
  return {static_cast<std::byte*>(values.data), static_cast<std::size_t>(values.count()) * size_of(values.dtype)};
}

TensorView equal_part(const TensorView& values, int rank, int ranks) {
  const std::int64_t part = values.count() / ranks;
  require(part * ranks == values.count(), "values are not divided into equal parts");
  auto* data = static_cast<std::byte*>(values.data);
  return {data + static_cast<std::size_t>(rank * part) * size_of(values.dtype), values.dtype, {part}};
}

std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& mine) {
  const auto ranks = static_cast<std::size_t>(comm.size());
  const auto length = static_cast<std::int64_t>(mine.size());
  std::vector<std::int64_t> lengths(ranks);
  comm.all_gather(std::as_bytes(std::span(&length, 1)), std::as_writable_bytes(std::span(lengths)), WireKind::control);

  // Strings are padded to the longest, since all_gather needs equal sizes.
  const auto width = static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  std::string padded = mine;
  padded.resize(width);
  std::string all(width * ranks, '\0');
  comm.all_gather(std::as_bytes(std::span(padded)), std::as_writable_bytes(std::span(all)), WireKind::control);

  std::vector<std::string> texts(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    texts[r] = all.substr(r * width, static_cast<std::size_t>(lengths[r]));
  }
  return texts;
}

std::string broadcast_string(Communicator& comm, const std::string& text, int root) {
  auto length = static_cast<std::int64_t>(text.size());
  comm.broadcast(std::as_writable_bytes(std::span(&length, 1)), root, WireKind::control);
  std::string copy = comm.rank() == root ? text : std::string(static_cast<std::size_t>(length), '\0');
  comm.broadcast(std::as_writable_bytes(std::span(copy)), root, WireKind::control);
  return copy;
}

}  // namespace lora_dist
