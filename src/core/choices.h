// The enums that users select by a word in configuration or command line, each with the table of its words. std::nullopt is
// "auto".
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
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

/// The dtype of the weights in the model folders of full fine-tuning; "auto": that of model.path, tensor by tensor.
inline constexpr Words<std::optional<DType>, 3> kModelDtypes = {
    {{"auto", std::nullopt}, {"fp32", DType::f32}, {"bf16", DType::bf16}}};

/// The transport between GPUs.
enum class CommunicatorKind : std::uint8_t { mpi, nccl };
inline constexpr Words<std::optional<CommunicatorKind>, 3> kCommunicators = {
    {{"auto", std::nullopt}, {"mpi", CommunicatorKind::mpi}, {"nccl", CommunicatorKind::nccl}}};

/// The memory of a rank's base shard.
enum class BaseDevice : std::uint8_t { device, host };
inline constexpr Words<std::optional<BaseDevice>, 3> kBaseDevices = {
    {{"auto", std::nullopt}, {"device", BaseDevice::device}, {"host", BaseDevice::host}}};

/// The data ranks that divide the base: all, those of a machine, or groups of that many; "auto" is all.
struct BaseShards {
  enum class Of : std::uint8_t { automatic, all, node, count };
  Of of = Of::automatic;
  int count = 0;  // ranks; 0 but for Of::count
  bool operator==(const BaseShards&) const = default;
};

/// The activations of a training micro-batch that are saved for backward: all; outputs of products and attention (norms and
/// activation functions are recomputed, no product is); or only the inputs of blocks (everything else is recomputed).
enum class Recompute : std::uint8_t { none, selective, block };
inline constexpr Words<Recompute, 3> kRecomputes = {
    {{"none", Recompute::none}, {"selective", Recompute::selective}, {"block", Recompute::block}}};

/// The trained part beside the frozen base; src/adapter/method.cpp has a row for each. `full` trains the base itself.
enum class Method : std::uint8_t { lora, dora, ia3, ln_tuning, vera, adalora, bottleneck, prompt, prefix, p_tuning, full };
inline constexpr Words<Method, 11> kMethods = {{{"lora", Method::lora},
                                                {"dora", Method::dora},
                                                {"ia3", Method::ia3},
                                                {"ln_tuning", Method::ln_tuning},
                                                {"vera", Method::vera},
                                                {"adalora", Method::adalora},
                                                {"bottleneck", Method::bottleneck},
                                                {"prompt", Method::prompt},
                                                {"prefix", Method::prefix},
                                                {"p_tuning", Method::p_tuning},
                                                {"full", Method::full}}};

/// The part of the model that a method trains or adds to; methods of different parts can be trained together.
enum class MethodPart : std::uint8_t { linears, virtual_tokens, norms, sublayers, base };
constexpr MethodPart part_of(Method method) {
  switch (method) {
    case Method::prompt:
    case Method::prefix:
    case Method::p_tuning:
      return MethodPart::virtual_tokens;
    case Method::ln_tuning:
      return MethodPart::norms;
    case Method::bottleneck:
      return MethodPart::sublayers;
    case Method::full:
      return MethodPart::base;
    case Method::lora:
    case Method::dora:
    case Method::ia3:
    case Method::vera:
    case Method::adalora:
      break;
  }
  return MethodPart::linears;
}
inline constexpr Words<MethodPart, 5> kMethodParts = {{{"linear layers", MethodPart::linears},
                                                       {"virtual tokens", MethodPart::virtual_tokens},
                                                       {"norms", MethodPart::norms},
                                                       {"what follows attention and MLP", MethodPart::sublayers},
                                                       {"the base", MethodPart::base}}};

/// The methods that are trained together, in the order of their parts.
struct MethodChoice {
  Method first = Method::lora;
  std::vector<Method> beside = {};

  std::vector<Method> all() const {
    std::vector<Method> methods(beside.size() + 1, first);
    std::ranges::copy(beside, methods.begin() + 1);
    return methods;
  }
  bool operator==(const MethodChoice&) const = default;
};

/// Where bottleneck adapters are: after the MLP (Pfeiffer et al. 2021), after attention and MLP (Houlsby et al. 2019), or beside
/// the MLP (He et al. 2022).
enum class BottleneckPlacement : std::uint8_t { pfeiffer, houlsby, parallel };
inline constexpr Words<BottleneckPlacement, 3> kBottleneckPlacements = {{{"pfeiffer", BottleneckPlacement::pfeiffer},
                                                                         {"houlsby", BottleneckPlacement::houlsby},
                                                                         {"parallel", BottleneckPlacement::parallel}}};

/// The activation of a bottleneck, as the adapters library names it; "auto" is that of the placement.
inline constexpr Words<std::optional<Activation>, 5> kBottleneckActivations = {{{"auto", std::nullopt},
                                                                                {"relu", Activation::relu},
                                                                                {"swish", Activation::silu},
                                                                                {"gelu", Activation::gelu_erf},
                                                                                {"gelu_new", Activation::gelu_tanh}}};

/// The initial values of LoRA's factors. B is zero, and A uniform, as Kaiming He's, or normal with standard deviation 1 / r. Or
/// both are made from the weight: its principal singular vectors (PiSSA), its first orthogonal directions (OLoRA), or those of
/// what quantization loses of it (LoftQ).
enum class LoraInit : std::uint8_t { uniform, gaussian, pissa, olora, loftq };
inline constexpr Words<LoraInit, 5> kLoraInits = {{{"default", LoraInit::uniform},
                                                   {"gaussian", LoraInit::gaussian},
                                                   {"pissa", LoraInit::pissa},
                                                   {"olora", LoraInit::olora},
                                                   {"loftq", LoraInit::loftq}}};

/// True if the frozen weights are used without the update of the initial factors, so that a new adapter changes nothing.
constexpr bool uses_residual(LoraInit init) { return init == LoraInit::pissa || init == LoraInit::olora; }
/// True if the initial factors are made from the weights.
constexpr bool needs_weights(LoraInit init) { return uses_residual(init) || init == LoraInit::loftq; }

/// The initial values of trained virtual tokens: normal, rows of the embedding for random ids, or rows for the ids of a text.
enum class PromptInit : std::uint8_t { random, vocabulary, text };
inline constexpr Words<PromptInit, 3> kPromptInits = {
    {{"random", PromptInit::random}, {"vocabulary", PromptInit::vocabulary}, {"text", PromptInit::text}}};

/// The network that makes the virtual tokens of P-tuning.
enum class TunedEncoder : std::uint8_t { mlp, lstm };
inline constexpr Words<TunedEncoder, 2> kTunedEncoders = {{{"mlp", TunedEncoder::mlp}, {"lstm", TunedEncoder::lstm}}};

enum class Optimizer : std::uint8_t { adamw };
inline constexpr Words<Optimizer, 1> kOptimizers = {{{"adamw", Optimizer::adamw}}};

/// The learning rate after warm-up.
enum class Schedule : std::uint8_t { constant, linear, cosine };
inline constexpr Words<Schedule, 3> kSchedules = {
    {{"constant", Schedule::constant}, {"linear", Schedule::linear}, {"cosine", Schedule::cosine}}};

/// The kind of a dataset's rows; "auto": each row has that of its own keys.
enum class RowKind : std::uint8_t { alpaca, chat, qa, text, ids, marked_text, qa_text };
inline constexpr Words<std::optional<RowKind>, 8> kRowKinds = {{{"auto", std::nullopt},
                                                                {"alpaca", RowKind::alpaca},
                                                                {"chat", RowKind::chat},
                                                                {"qa", RowKind::qa},
                                                                {"text", RowKind::text},
                                                                {"ids", RowKind::ids},
                                                                {"marked_text", RowKind::marked_text},
                                                                {"qa_text", RowKind::qa_text}}};

/// The text around a row; "auto": by its kind and the model.
enum class RowTemplate : std::uint8_t { alpaca, qa, raw, chatml, plain, tokenizer };
inline constexpr Words<std::optional<RowTemplate>, 7> kRowTemplates = {{{"auto", std::nullopt},
                                                                        {"alpaca", RowTemplate::alpaca},
                                                                        {"qa", RowTemplate::qa},
                                                                        {"raw", RowTemplate::raw},
                                                                        {"chatml", RowTemplate::chatml},
                                                                        {"plain", RowTemplate::plain},
                                                                        {"tokenizer", RowTemplate::tokenizer}}};

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

/// A word of a closed list, or a path: Kind::path.
template <class Kind>
struct WordOrPath {
  Kind kind{};
  std::string path{};  // empty but for Kind::path
};

/// The state from which a training continues.
enum class Resume : std::uint8_t { newest, nothing, path };
inline constexpr Words<Resume, 2> kResumes = {{{"auto", Resume::newest}, {"never", Resume::nothing}}};

/// The folder that keeps tokens for the next run.
enum class TokenCache : std::uint8_t { output_dir, nowhere, path };
inline constexpr Words<TokenCache, 2> kTokenCaches = {{{"", TokenCache::output_dir}, {"none", TokenCache::nowhere}}};

enum class Metric : std::uint8_t { loss, perplexity };
inline constexpr Words<Metric, 2> kMetrics = {{{"loss", Metric::loss}, {"perplexity", Metric::perplexity}}};

}  // namespace lora_dist
