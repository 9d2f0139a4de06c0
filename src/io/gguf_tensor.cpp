// Runs of rows that lie together in the file are read together.
#include "src/io/gguf_tensor.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/common/check.h"
#include "src/io/file.h"
#include "src/io/safetensors.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kReadValues = std::int64_t{1} << 18;  // decoded at a time

/// Elements of the file, in its own order.
struct Reader {
  const TensorInfo& tensor;
  InputFile file;
  std::vector<std::byte> blocks{};
  std::vector<float> values{};

  explicit Reader(const TensorInfo& info) : tensor(info), file(info.file, ExitCode::model) {}

  void read(std::int64_t first, std::int64_t count, std::byte* out) {
    const GgmlType& type = *tensor.gguf->type;
    const auto width = static_cast<std::int64_t>(size_of(tensor.dtype));
    if (type.decode == nullptr && type.dtype == tensor.dtype) {
      file.read_at(tensor.offset + static_cast<std::uint64_t>(first * width), {out, static_cast<std::size_t>(count * width)});
      add_to(out, count);
      return;
    }
    for (const std::int64_t end = first + count; first < end;) {
      const std::int64_t block = first / type.values;
      const std::int64_t stop = std::min(end, (block + std::max<std::int64_t>(kReadValues / type.values, 1)) * type.values);
      decode(block, (stop + type.values - 1) / type.values - block);
      const std::int64_t some = stop - first;
      std::memcpy(out, values.data() + (first - block * type.values), static_cast<std::size_t>(some * width));
      add_to(out, some);
      out += some * width;
      first = stop;
    }
  }

 private:
  void decode(std::int64_t block, std::int64_t count) {
    const GgmlType& type = *tensor.gguf->type;
    require(type.decode != nullptr, "only blocks are decoded");
    blocks.resize(static_cast<std::size_t>(count * type.bytes));
    values.resize(static_cast<std::size_t>(count * type.values));
    file.read_at(tensor.offset + static_cast<std::uint64_t>(block * type.bytes), blocks);
    type.decode(blocks, values);
  }

  void add_to(std::byte* out, std::int64_t count) const {
    for (std::int64_t i = 0; tensor.gguf->added != 0.0F && i < count; ++i) {
      float value = 0.0F;
      std::memcpy(&value, out + i * 4, sizeof value);
      value += tensor.gguf->added;
      std::memcpy(out + i * 4, &value, sizeof value);
    }
  }
};

void read_rows(const TensorInfo& tensor, std::int64_t first, std::int64_t count, std::byte* out) {
  const GgufSource& source = *tensor.gguf;
  const auto width = static_cast<std::int64_t>(size_of(tensor.dtype));
  const std::int64_t rows = tensor.shape.front();
  const std::int64_t cols = static_cast<std::int64_t>(tensor.bytes) / width / rows;
  Reader reader(tensor);
  for (const std::int64_t end = first + count; first < end;) {
    const std::int64_t row = row_in_gguf(source, first / cols, rows);
    std::int64_t stop = (first / cols + 1) * cols;
    while (stop < end && row_in_gguf(source, stop / cols, rows) == row + stop / cols - first / cols) {
      stop += cols;
    }
    stop = std::min(stop, end);
    reader.read(row * cols + first % cols, stop - first, out);
    out += (stop - first) * width;
    first = stop;
  }
}

/// All of the matrix, then the elements that are wanted.
void read_transposed(const TensorInfo& tensor, std::int64_t first, std::int64_t count, std::byte* out) {
  const auto width = static_cast<std::size_t>(size_of(tensor.dtype));
  const auto ins = static_cast<std::size_t>(tensor.shape[0]);
  const auto outs = static_cast<std::size_t>(tensor.shape[1]);
  std::vector<std::byte> all(tensor.bytes);
  Reader(tensor).read(0, static_cast<std::int64_t>(ins * outs), all.data());
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const std::size_t at = static_cast<std::size_t>(first) + i;
    std::memcpy(out + i * width, all.data() + (at % outs * ins + at / outs) * width, width);
  }
}

}  // namespace

std::int64_t row_in_gguf(const GgufSource& source, std::int64_t row, std::int64_t rows) {
  if (source.order == GgufOrder::interleaved_halves) {
    const std::int64_t of_head = rows / source.heads;
    const std::int64_t in_head = row % of_head;
    return row - in_head + in_head % (of_head / 2) * 2 + in_head / (of_head / 2);
  }
  if (source.order == GgufOrder::q_then_k_then_v) {
    const std::int64_t width = rows / source.heads / 3;
    const std::int64_t head = row / (3 * width);
    return row / width % 3 * (rows / 3) + head * width + row % width;
  }
  return row;
}

std::vector<float> in_gguf_order(const GgufSource& source, const std::vector<std::int64_t>& shape, std::vector<float> values) {
  for (float& value : values) {
    value -= source.added;
  }
  if (source.order == GgufOrder::as_is) {
    return values;
  }
  const std::int64_t rows = shape.front();
  const std::int64_t cols = std::ssize(values) / rows;
  std::vector<float> out(values.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    if (source.order == GgufOrder::transposed) {
      for (std::int64_t col = 0; col < cols; ++col) {
        out[static_cast<std::size_t>(col * rows + row)] = values[static_cast<std::size_t>(row * cols + col)];
      }
    } else {
      std::copy_n(values.begin() + row * cols, cols, out.begin() + row_in_gguf(source, row, rows) * cols);
    }
  }
  return out;
}

void read_gguf_bytes(const TensorInfo& tensor, std::uint64_t from, std::span<std::byte> out) {
  const std::uint64_t width = size_of(tensor.dtype);
  require(from % width == 0 && out.size() % width == 0, "read_gguf_bytes: whole elements only");
  const auto first = static_cast<std::int64_t>(from / width);
  const auto count = static_cast<std::int64_t>(out.size() / width);
  if (tensor.gguf->order == GgufOrder::transposed) {
    read_transposed(tensor, first, count, out.data());
  } else if (tensor.gguf->order == GgufOrder::as_is) {
    Reader(tensor).read(first, count, out.data());
  } else {
    read_rows(tensor, first, count, out.data());
  }
}

TensorInfo as_in_gguf(const TensorInfo& transposed) {
  TensorInfo out = transposed;
  std::swap(out.shape[0], out.shape[1]);
  GgufSource source = *transposed.gguf;
  source.order = GgufOrder::as_is;
  out.gguf = std::make_shared<const GgufSource>(source);
  return out;
}

}  // namespace lora_dist
