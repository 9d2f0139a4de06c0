// Streams that run dry: operators note what they would do and touch no memory, whichever backend the stream stands for.
#include "kernels/common/work_record.h"

#include <gtest/gtest.h>

#include <array>

#include "kernels/attention/attention.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "kernels/quantize/quantize_int8.h"

namespace lora_dist::work_record_test {
namespace {

/// No process has such an address: who touches it is ended.
template <class T>
T* nowhere() {
  return reinterpret_cast<T*>(std::uintptr_t{0xF0} << 48U);  // NOLINT(performance-no-int-to-ptr)
}
TensorView floats(Shape shape, DType dtype = DType::f32) { return {nowhere<float>(), dtype, shape}; }

WorkEntry entry_of(const WorkRecord& record, std::string_view name) {
  return record.sum([&](const WorkEntry& entry) { return entry.name == name; });
}

class DryStream : public testing::TestWithParam<Backend> {
 protected:
  WorkRecord record;
  Stream stream{GetParam(), 1, nullptr, &record};
};

TEST_P(DryStream, OperatorsAreNotedAndTouchNoMemory) {
  zero(floats({7, 5}), stream);
  zero(floats({7, 5}), stream);
  add_to(floats({7, 5}), floats({7, 5}), stream);
  EXPECT_EQ(fixed_point_add(floats({3}), 1.0F, {nowhere<std::int64_t>(), DType::i64, {3}}, 1.0F, stream), 0);
  EXPECT_EQ(entry_of(record, "zero").calls, 2);
  EXPECT_EQ(entry_of(record, "add_to").calls, 1);
  EXPECT_EQ(entry_of(record, "fixed_point_add").calls, 1);
  EXPECT_EQ(record.sum([](const WorkEntry&) { return true; }).calls, 4);
  record.clear();
  EXPECT_TRUE(record.entries().empty());
}

TEST_P(DryStream, ProductsAndAttentionStateTheirFlops) {
  matmul({.a = floats({3, 5}), .b = floats({5, 7}), .c = floats({3, 7})}, stream);
  EXPECT_EQ(entry_of(record, "matmul").work.flops, 2.0 * 3 * 5 * 7);
  matmul({.a = floats({5, 3}), .op_a = Transpose::yes, .b = floats({7, 5}), .op_b = Transpose::yes, .c = floats({3, 7})}, stream);
  EXPECT_EQ(entry_of(record, "matmul").work.flops, 2 * 2.0 * 3 * 5 * 7);
  const AttentionShape shape{.heads = 2, .kv_heads = 1, .head_dim = 4, .scale = 0.5F, .longest = 10};
  const ConstTensorView starts{nowhere<std::int32_t>(), DType::i32, {3}};
  const TensorView q = floats({20, 8});
  const TensorView kv = floats({20, 4});
  attention({q, kv, kv, starts, starts, shape, q, floats({20, 2})}, stream);
  EXPECT_EQ(entry_of(record, "attention").work.flops, 4.0 * 20 * 8 * 5.5);  // of 1 to 10 keys
  attention_backward({q, q, kv, kv, q, floats({20, 2}), starts, shape, q, kv, kv}, stream);
  EXPECT_EQ(entry_of(record, "attention_backward").work.flops, 10.0 * 20 * 8 * 5.5);
}

TEST_P(DryStream, DequantizingStatesItsBytes) {
  const TensorView values = floats({8, 128}, DType::bf16);
  const TensorView flat{values.data, values.dtype, {1024}};
  const ConstTensorView scales = floats({16});
  const ConstTensorView codes{nowhere<std::uint8_t>(), DType::u8, {512}};
  dequantize_4bit({.codes = codes, .absmax = scales, .block_size = 64}, flat, stream);
  EXPECT_EQ(entry_of(record, "dequantize_4bit").work.bytes, 512 + 16 * 4 + 2048);
  dequantize_4bit_part({.codes = codes, .absmax = scales, .block_size = 64}, {8, 128, 0, 256}, flat, stream);
  EXPECT_EQ(entry_of(record, "dequantize_4bit_part").work.bytes, 512 + 16 * 4 + 2048);
  dequantize_absmax({codes.data, DType::u8, {300}}, floats({100}), 0.0F, floats({300}), stream);
  EXPECT_EQ(entry_of(record, "dequantize_absmax").work.bytes, 300 + 2 * 4 + 300 * 4);  // of the nested ones the part's
  dequantize_int8({codes.data, DType::i8, {8, 128}}, floats({8}), values, stream);
  EXPECT_EQ(entry_of(record, "dequantize_int8").work.bytes, 1024 + 8 * 4 + 2048);
  cast(floats({10}), floats({10}, DType::f16), stream);
  EXPECT_EQ(entry_of(record, "cast").work.bytes, 10 * (4 + 2));
}

TEST_P(DryStream, NoDeviceIsAsked) {
  copy_bytes(nowhere<char>(), nowhere<char>(), 100, stream);
  synchronize(stream);
  DeviceEvent event;
  event.record(stream);
  event.stream_wait(stream);
  event.wait(stream);
  EXPECT_TRUE(event.past());
  EXPECT_EQ(operator_scratch_bytes(stream), 0);
  EXPECT_TRUE(record.entries().empty());
}

TEST_P(DryStream, PartsInterruptEachOther) {
  const auto calls_in = [&](std::string_view part) {
    return record.sum([&](const WorkEntry& entry) { return entry.part == part; }).calls;
  };
  {
    const WorkPart outer(stream, "outer");
    zero(floats({1}), stream);
    {
      const WorkPart inner(stream, "inner");
      zero(floats({1}), stream);
      note_work(stream, "what is no operator", {.bytes = 5});
    }
    zero(floats({1}), stream);
  }
  zero(floats({1}), stream);
  EXPECT_EQ(calls_in("outer"), 2);
  EXPECT_EQ(calls_in("inner"), 2);
  EXPECT_EQ(calls_in(""), 1);
  EXPECT_EQ(entry_of(record, "what is no operator").work.bytes, 5);
}

INSTANTIATE_TEST_SUITE_P(OfEachBackend, DryStream, testing::Values(Backend::cpu, Backend::cuda),
                         [](const auto& info) { return std::string(info.param == Backend::cpu ? "cpu" : "cuda"); });

TEST(WorkRecord, AStreamWithoutOneComputes) {
  std::array<float, 2> x = {1.0F, 2.0F};
  const Stream stream;
  const WorkPart part(stream, "nobody notes it");
  note_work(stream, "nor this");
  zero(view(std::span<float>(x)), stream);
  EXPECT_EQ(x[1], 0.0F);
}

}  // namespace
}  // namespace lora_dist::work_record_test
