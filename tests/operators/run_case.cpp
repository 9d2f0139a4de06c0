// Allocates the operands of a case, calls it, and reads its outputs.
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/common/device.h"
#include "kernels/common/half.h"
#include "kernels/elementwise/copy.h"
#include "tests/operators/operator_case.h"

namespace lora_dist::operators {

namespace {

DType dtype_of(Kind kind, DType compute) {
  switch (kind) {
    case Kind::activation:
      return compute;
    case Kind::f32:
      return DType::f32;
    case Kind::i32:
      return DType::i32;
    case Kind::i64:
      return DType::i64;
    case Kind::i8:
      return DType::i8;
    case Kind::u8:
      return DType::u8;
  }
  return DType::f32;
}

template <class T>
void put(std::byte* at, double value) {
  const T narrow = static_cast<T>(value);
  std::memcpy(at, &narrow, sizeof narrow);
}
template <class T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void put_value(std::byte* at, DType dtype, double value) {
  switch (dtype) {
    case DType::bf16:
      put<std::uint16_t>(at, bf16_of_float(static_cast<float>(value)));
      return;
    case DType::f16:
      put<std::uint16_t>(at, f16_of_float(static_cast<float>(value)));
      return;
    case DType::i32:
      put<std::int32_t>(at, value);
      return;
    case DType::i64:
      put<std::int64_t>(at, value);
      return;
    case DType::i8:
      put<std::int8_t>(at, value);
      return;
    case DType::u8:
      put<std::uint8_t>(at, value);
      return;
    default:
      put<float>(at, value);
  }
}

double get_value(const std::byte* at, DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return static_cast<double>(float_of_bf16(get<std::uint16_t>(at)));
    case DType::f16:
      return static_cast<double>(float_of_f16(get<std::uint16_t>(at)));
    case DType::i32:
      return get<std::int32_t>(at);
    case DType::i64:
      return static_cast<double>(get<std::int64_t>(at));
    case DType::i8:
      return get<std::int8_t>(at);
    case DType::u8:
      return get<std::uint8_t>(at);
    default:
      return static_cast<double>(get<float>(at));
  }
}

double rounded(double value, DType dtype) {
  std::byte bytes[8];
  put_value(bytes, dtype, value);
  return get_value(bytes, dtype);
}

std::vector<std::byte> host_bytes(const Operand& operand, DType dtype, DType inputs_as) {
  const std::size_t element = size_of(dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(operand.shape.count()) * element, std::byte{0xFF});  // NaN, or -1
  for (std::size_t i = 0; operand.use != Use::out && i * element < bytes.size(); ++i) {
    const double value = operand.values[i % operand.values.size()];
    put_value(bytes.data() + i * element, dtype, operand.kind == Kind::activation ? rounded(value, inputs_as) : value);
  }
  return bytes;
}

}  // namespace

PlacedCase::PlacedCase(const OperatorCase& c, const Stream& stream, DType dtype, DType inputs_as) : case_(c), stream_(stream) {
  for (const Operand& operand : c.operands) {
    const DType own = dtype_of(operand.kind, dtype);
    const std::vector<std::byte> bytes = host_bytes(operand, own, inputs_as);
    void* memory = stream.backend == Backend::cuda ? allocate_device(bytes.size() + 64) : ::operator new(bytes.size() + 64);
    views_.push_back({memory, own, operand.shape});
    from_host({bytes.data(), own, operand.shape}, views_.back(), stream);
  }
}

PlacedCase::~PlacedCase() {
  for (const TensorView& view : views_) {
    if (stream_.backend == Backend::cuda) {
      free_device(view.data);
    } else {
      ::operator delete(view.data);
    }
  }
}

void PlacedCase::call() const { case_.call(views_, stream_); }

CaseResult PlacedCase::results() const {
  CaseResult result;
  for (std::size_t i = 0; i < views_.size(); ++i) {
    if (case_.operands[i].use == Use::in) {
      continue;
    }
    const TensorView& there = views_[i];
    const std::size_t element = size_of(there.dtype);
    std::vector<std::byte> bytes(static_cast<std::size_t>(there.count()) * element);
    to_host(there, {bytes.data(), there.dtype, there.shape}, stream_);
    result.whole.push_back(there.dtype != DType::f32 && there.dtype != DType::bf16 && there.dtype != DType::f16);
    std::vector<double>& values = result.outputs.emplace_back();
    for (std::size_t at = 0; at < bytes.size(); at += element) {
      values.push_back(get_value(bytes.data() + at, there.dtype));
    }
  }
  return result;
}

double PlacedCase::bytes() const {
  double sum = 0.0;
  for (std::size_t i = 0; i < views_.size(); ++i) {
    const auto bytes = static_cast<double>(views_[i].count()) * static_cast<double>(size_of(views_[i].dtype));
    sum += case_.operands[i].use == Use::in_out ? 2.0 * bytes : bytes;
  }
  return sum;
}

CaseResult run_case(const OperatorCase& c, const Stream& stream, DType dtype, DType inputs_as) {
  const PlacedCase placed(c, stream, dtype, inputs_as);
  placed.call();
  return placed.results();
}

double normalised_error(std::span<const double> expected, std::span<const double> got) {
  double difference = 0.0;
  double square = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += (expected[i] - got[i]) * (expected[i] - got[i]);
    square += expected[i] * expected[i];
  }
  if (std::isnan(difference)) {
    return std::numeric_limits<double>::infinity();
  }
  return difference == 0.0 ? 0.0 : difference / square;
}

}  // namespace lora_dist::operators
