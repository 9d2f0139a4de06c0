// The enums that users select by a word in configuration or command line, each with the table of its words. std::nullopt is
// "auto".
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/common/dtype.h"
#include "kernels/common/stream.h"
#include "src/core/words.h"

namespace lora_dist {

/// The quantization of the frozen base.
enum class Quantization : std::uint8_t { none, nf4, fp4, int8 };
inline constexpr Words<Quantization, 4> kQuantizations = {
    {{"none", Quantization::none}, {"nf4", Quantization::nf4}, {"fp4", Quantization::fp4}, {"int8", Quantization::int8}}};

/// The backend of the operators.
inline constexpr Words<std::optional<Backend>, 3> kBackends = {
    {{"auto", std::nullopt}, {"cpu", Backend::cpu}, {"cuda", Backend::cuda}}};

/// The dtype of products.
inline constexpr Words<std::optional<DType>, 4> kComputeDtypes = {
    {{"auto", std::nullopt}, {"fp32", DType::f32}, {"bf16", DType::bf16}, {"fp16", DType::f16}}};

/// The dtype of the factors in adapter folders.
inline constexpr Words<DType, 2> kAdapterDtypes = {{{"fp32", DType::f32}, {"bf16", DType::bf16}}};

/// The transport between GPUs.
enum class CommunicatorKind : std::uint8_t { mpi, nccl };
inline constexpr Words<std::optional<CommunicatorKind>, 3> kCommunicators = {
    {{"auto", std::nullopt}, {"mpi", CommunicatorKind::mpi}, {"nccl", CommunicatorKind::nccl}}};

/// The memory of a rank's base shard.
enum class BaseDevice : std::uint8_t { device, host };
inline constexpr Words<std::optional<BaseDevice>, 3> kBaseDevices = {
    {{"auto", std::nullopt}, {"device", BaseDevice::device}, {"host", BaseDevice::host}}};

/// The data ranks that divide the base: all, those of a machine, or a number.
struct BaseShards {
  enum class Of : std::uint8_t { all, node, count };
  Of of = Of::all;
  int count = 0;  // ranks; 0 but for Of::count
  bool operator==(const BaseShards&) const = default;
};

/// The activations of a training micro-batch that are saved for backward: all; outputs of products and attention (norms and
/// activation functions are recomputed, no product is); or only the inputs of blocks (everything else is recomputed).
enum class Recompute : std::uint8_t { none, selective, block };
inline constexpr Words<Recompute, 3> kRecomputes = {
    {{"none", Recompute::none}, {"selective", Recompute::selective}, {"block", Recompute::block}}};

/// The learning rate after warm-up.
enum class Schedule : std::uint8_t { constant, linear, cosine };
inline constexpr Words<Schedule, 3> kSchedules = {
    {{"constant", Schedule::constant}, {"linear", Schedule::linear}, {"cosine", Schedule::cosine}}};

/// The tokens that count in the loss.
enum class TrainOn : std::uint8_t { completion, all };
inline constexpr Words<TrainOn, 2> kTrainOn = {{{"completion", TrainOn::completion}, {"all", TrainOn::all}}};

/// The treatment of a sample longer than data.max_length.
enum class Overlong : std::uint8_t { truncate, drop, error };
inline constexpr Words<Overlong, 3> kOverlong = {
    {{"truncate", Overlong::truncate}, {"drop", Overlong::drop}, {"error", Overlong::error}}};

/// The treatment of a row that cannot be read.
enum class BadRows : std::uint8_t { error, skip };
inline constexpr Words<BadRows, 2> kBadRows = {{{"error", BadRows::error}, {"skip", BadRows::skip}}};

enum class Metric : std::uint8_t { loss, perplexity };
inline constexpr Words<Metric, 2> kMetrics = {{{"loss", Metric::loss}, {"perplexity", Metric::perplexity}}};

}  // namespace lora_dist
