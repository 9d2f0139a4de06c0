// The table of configuration keys.
#include "src/config/config_keys.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/common/block_size.h"
#include "src/config/config_value.h"
#include "src/config/nearest_name.h"
#include "src/config/planned_values.h"

namespace lora_dist {
namespace {

constexpr OnResume kRefuse = OnResume::refuse;
constexpr OnResume kAllow = OnResume::allow;
constexpr OnResume kBits = OnResume::bits_may_differ;
constexpr std::int64_t kManySteps = std::int64_t{1} << 40;

template <class Value>
constexpr Takes kTakes = std::is_arithmetic_v<Value> ? Takes::value : Takes::string;
template <class Element>
constexpr Takes kTakes<std::vector<Element>> = Takes::list;
template <>
constexpr Takes kTakes<MethodChoice> = Takes::list;

/// `meaning`, with {} replaced by the words of the list.
template <class Rule>
std::string meaning_with_words(std::string_view meaning, const Rule& /*rule*/) {
  return std::string(meaning);
}
template <class Value, std::size_t count>
std::string meaning_with_words(std::string_view meaning, const Words<Value, count>& words) {
  std::string text(meaning);
  const std::size_t at = text.find("{}");
  return at == std::string::npos ? text : text.replace(at, 2, list_of(all_words(words)));
}

std::string meaning_with_words(std::string_view meaning, const MethodList& /*rule*/) {
  return meaning_with_words(meaning, kMethods);
}

/// A key whose value is `member(config)` under `rule`; a rule for another type does not compile.
template <class Member, class Rule>
Key key(std::string_view name, Member member, const Rule& rule, OnResume on_resume, std::string_view meaning) {
  using Value = std::remove_reference_t<decltype(member(std::declval<Config&>()))>;
  const auto read = [=](Config& config, const toml::node& node) {
    Value value{};
    std::string problem = refusal_of_planned(name, node);
    if (problem.empty()) {
      problem = read_value(value, rule, node);
    }
    if (problem.empty()) {
      member(config) = std::move(value);
    }
    return problem;
  };
  const auto text = [=](const Config& config) { return value_text(member(config), rule); };
  return {name, on_resume, kTakes<Value>, meaning_with_words(meaning, rule), read, text};
}

// A new key needs one line here and one member in config.h.
// clang-format off
std::vector<Key> make_keys() {
  return {
    key("model.path", [](auto& c) -> auto& { return c.model.path; }, Text{}, kRefuse, "Hugging Face model folder, or a GGUF file (required)"),
    key("model.quantization", [](auto& c) -> auto& { return c.model.quantization; }, kQuantizations, kRefuse, "how the frozen base is kept: {}"),
    key("model.double_quant", [](auto& c) -> auto& { return c.model.double_quant; }, Flag{}, kRefuse, "quantize the scales too (saves 0.4 bit per weight)"),
    key("model.block_size", [](auto& c) -> auto& { return c.model.block_size; }, Whole{kSmallestBlock, kLargestBlock}, kRefuse, "weights that share one scale: a power of two"),
    key("model.compute_dtype", [](auto& c) -> auto& { return c.model.compute_dtype; }, kComputeDtypes, kRefuse, "type that products are computed in: {}"),

    key("adapter.method", [](auto& c) -> auto& { return c.adapter.method; }, MethodList{}, kRefuse, "kind of adapter: {}; or a list of those that are trained together"),
    key("adapter.r", [](auto& c) -> auto& { return c.adapter.r; }, Whole{1, 65536}, kRefuse, "rank of the adapter"),
    key("adapter.alpha", [](auto& c) -> auto& { return c.adapter.alpha; }, Real{0.0, 1e6, true}, kRefuse, "the adapter's product is scaled by alpha / r"),
    key("adapter.dropout", [](auto& c) -> auto& { return c.adapter.dropout; }, Real{0.0, 1.0, false, true}, kRefuse, "share of adapter inputs set to zero while training"),
    key("adapter.target_modules", [](auto& c) -> auto& { return c.adapter.target_modules; }, Texts{}, kRefuse, "linear layers that get an adapter, or \"all-linear\""),
    key("adapter.rslora", [](auto& c) -> auto& { return c.adapter.rslora; }, Flag{}, kRefuse, "scale by alpha / sqrt(r) instead"),
    key("adapter.exclude_modules", [](auto& c) -> auto& { return c.adapter.exclude_modules; }, Texts{true}, kRefuse, "linear layers of target_modules that get none"),
    key("adapter.layers_to_transform", [](auto& c) -> auto& { return c.adapter.layers_to_transform; }, Wholes{0, 65535}, kRefuse, "numbers of the blocks that get an adapter, from 0; empty: all"),
    key("adapter.rank_pattern", [](auto& c) -> auto& { return c.adapter.rank_pattern; }, WholeByPath{{1, 65536}}, kRefuse, "other ranks by module: {q_proj = 32, \"mlp.*\" = 4}"),
    key("adapter.alpha_pattern", [](auto& c) -> auto& { return c.adapter.alpha_pattern; }, RealByPath{{0.0, 1e6, true}}, kRefuse, "other alphas by module"),
    key("adapter.init", [](auto& c) -> auto& { return c.adapter.init; }, kLoraInits, kRefuse, "first values of A and B: {}"),
    key("adapter.modules_to_save", [](auto& c) -> auto& { return c.adapter.modules_to_save; }, Texts{true}, kRefuse, "modules that are trained whole: endings of the paths of embedding, head and norms"),
    key("adapter.ensure_weight_tying", [](auto& c) -> auto& { return c.adapter.ensure_weight_tying; }, Flag{}, kRefuse, "a head that is the embedding stays it where modules_to_save names one of them"),
    key("adapter.trainable_token_indices", [](auto& c) -> auto& { return c.adapter.trainable_token_indices; }, Wholes{0, std::numeric_limits<std::int32_t>::max()}, kRefuse, "ids of tokens whose rows of the embedding are trained"),
    key("adapter.loraplus_ratio", [](auto& c) -> auto& { return c.adapter.loraplus_ratio; }, Real{0.0, 1e6}, kRefuse, "LoRA+: B's learning rate is this many times A's; 0: the same rate"),
    key("adapter.bottleneck.placement", [](auto& c) -> auto& { return c.adapter.bottleneck_placement; }, kBottleneckPlacements, kRefuse, "where bottleneck adapters are: {} (after the MLP; after attention and MLP; beside the MLP)"),
    key("adapter.bottleneck.reduction", [](auto& c) -> auto& { return c.adapter.bottleneck_reduction; }, Real{1.0, 1e6}, kRefuse, "the model's hidden size divided by the bottleneck's width"),
    key("adapter.bottleneck.activation", [](auto& c) -> auto& { return c.adapter.bottleneck_activation; }, kBottleneckActivations, kRefuse, "of the bottleneck: {}; auto: swish for houlsby, else relu"),
    key("adapter.ia3.feedforward_modules", [](auto& c) -> auto& { return c.adapter.ia3_feedforward_modules; }, Texts{true}, kRefuse, "endings of target_modules whose inputs IA3 scales; empty: PEFT's default of the family"),
    key("adapter.vera.d_initial", [](auto& c) -> auto& { return c.adapter.vera_d_initial; }, Real{-1e6, 1e6}, kRefuse, "first value of VeRA's factors d"),
    key("adapter.vera.projection_key", [](auto& c) -> auto& { return c.adapter.vera_projection_key; }, Whole{0, std::numeric_limits<std::int64_t>::max()}, kRefuse, "seed of VeRA's frozen projections"),
    key("adapter.vera.save_projection", [](auto& c) -> auto& { return c.adapter.vera_save_projection; }, Flag{}, kRefuse, "write the projections to the folder; false: readers draw them from the key"),
    key("adapter.adalora.init_r", [](auto& c) -> auto& { return c.adapter.adalora.init_r; }, Whole{1, 65536}, kRefuse, "ranks of a module at the start of AdaLoRA"),
    key("adapter.adalora.target_r", [](auto& c) -> auto& { return c.adapter.adalora.target_r; }, Whole{1, 65536}, kRefuse, "ranks of a module at its end, on average"),
    key("adapter.adalora.tinit", [](auto& c) -> auto& { return c.adapter.adalora.tinit; }, Whole{0, std::numeric_limits<std::int64_t>::max()}, kRefuse, "steps before the first rank is pruned"),
    key("adapter.adalora.tfinal", [](auto& c) -> auto& { return c.adapter.adalora.tfinal; }, Whole{0, std::numeric_limits<std::int64_t>::max()}, kRefuse, "last steps, in which the ranks that are left stay"),
    key("adapter.adalora.delta_t", [](auto& c) -> auto& { return c.adapter.adalora.delta_t; }, Whole{1, std::numeric_limits<std::int64_t>::max()}, kRefuse, "steps between two choices of ranks"),
    key("adapter.adalora.beta1", [](auto& c) -> auto& { return c.adapter.adalora.beta1; }, Real{0.0, 1.0, true, true}, kRefuse, "weight of the past in the importance of parameters"),
    key("adapter.adalora.beta2", [](auto& c) -> auto& { return c.adapter.adalora.beta2; }, Real{0.0, 1.0, true, true}, kRefuse, "weight of the past in its uncertainty"),
    key("adapter.adalora.orth_reg_weight", [](auto& c) -> auto& { return c.adapter.adalora.orth_reg_weight; }, Real{0.0, 1e6}, kRefuse, "weight of the orthogonality of A and B in the loss"),
    key("adapter.prompt.virtual_tokens", [](auto& c) -> auto& { return c.adapter.prompt.virtual_tokens; }, Whole{1, 65536}, kRefuse, "trained tokens before every sequence"),
    key("adapter.prompt.init", [](auto& c) -> auto& { return c.adapter.prompt.init; }, kPromptInits, kRefuse, "first values of these tokens: {} (normal, rows of the embedding for random ids, or for a text)"),
    key("adapter.prompt.text", [](auto& c) -> auto& { return c.adapter.prompt.text; }, Text{true}, kRefuse, "that text; its ids are repeated or cut to virtual_tokens"),
    key("adapter.prompt.encoder", [](auto& c) -> auto& { return c.adapter.prompt.encoder; }, kTunedEncoders, kRefuse, "network that makes the virtual tokens of p_tuning: {}"),
    key("adapter.prompt.encoder_hidden", [](auto& c) -> auto& { return c.adapter.prompt.encoder_hidden; }, Whole{0, 65536}, kRefuse, "its width; 0: the model's hidden size"),
    key("adapter.prefix.virtual_tokens", [](auto& c) -> auto& { return c.adapter.prefix.virtual_tokens; }, Whole{1, 65536}, kRefuse, "tokens before every sequence with trained keys and values in each block"),
    key("adapter.prefix.projection", [](auto& c) -> auto& { return c.adapter.prefix.projection; }, Flag{}, kRefuse, "a network of two layers makes the keys and values while they are trained"),
    key("adapter.prefix.hidden", [](auto& c) -> auto& { return c.adapter.prefix.hidden; }, Whole{0, 65536}, kRefuse, "its width; 0: that of a token's keys"),
    key("adapter.init_from", [](auto& c) -> auto& { return c.adapter.init_from; }, Text{true}, kRefuse, "PEFT adapter folder to start from; empty: a fresh adapter"),

    key("tokenizer.add_tokens", [](auto& c) -> auto& { return c.tokenizer.add_tokens; }, Texts{true, true}, kRefuse, "texts that become tokens: embedding and head grow, and their rows are trained"),
    key("tokenizer.add_special_tokens", [](auto& c) -> auto& { return c.tokenizer.add_special_tokens; }, Texts{true, true}, kRefuse, "the same for control tokens, which decoded text leaves out"),

    key("data.train", [](auto& c) -> auto& { return c.data.train; }, Texts{false, true}, kRefuse, "files to train on, or patterns (data/*.jsonl); required"),
    key("data.validation", [](auto& c) -> auto& { return c.data.validation; }, Texts{true, true}, kRefuse, "files to evaluate on; empty: a part of the training data"),
    key("data.validation_split", [](auto& c) -> auto& { return c.data.validation_split; }, Real{0.0, 1.0, false, true}, kRefuse, "that part, where there are no validation files"),
    key("data.format", [](auto& c) -> auto& { return c.data.format; }, kRowKinds, kRefuse, "kind of rows: {}"),
    key("data.template", [](auto& c) -> auto& { return c.data.row_template; }, kRowTemplates, kRefuse, "text around a row: {} (the model's own chat template)"),
    key("data.train_on", [](auto& c) -> auto& { return c.data.train_on; }, kTrainOn, kRefuse, "tokens that count in the loss: {}"),
    key("data.max_length", [](auto& c) -> auto& { return c.data.max_length; }, Whole{2, 1 << 20}, kRefuse, "tokens of a sequence at most"),
    key("data.packing", [](auto& c) -> auto& { return c.data.packing; }, Flag{}, kRefuse, "several samples in one sequence, not seeing each other"),
    key("data.shuffle", [](auto& c) -> auto& { return c.data.shuffle; }, Flag{}, kRefuse, "another order each epoch; false: file order"),
    key("data.overlong", [](auto& c) -> auto& { return c.data.overlong; }, kOverlong, kRefuse, "samples above max_length: {}"),
    key("data.bad_rows", [](auto& c) -> auto& { return c.data.bad_rows; }, kBadRows, kRefuse, "rows that cannot be read: {} (counted, and listed in output.dir/bad_rows.jsonl)"),
    key("data.max_bad_rows", [](auto& c) -> auto& { return c.data.max_bad_rows; }, Whole{0, std::numeric_limits<std::int32_t>::max()}, kAllow, "rows that are skipped at most, of all files; 0: no limit"),
    key("data.cache_dir", [](auto& c) -> auto& { return c.data.cache_dir; }, OrPath{kTokenCaches}, kAllow, "where tokens are kept for the next run; empty: in output.dir; none: nowhere"),

    key("train.seed", [](auto& c) -> auto& { return c.train.seed; }, Whole{0, std::numeric_limits<std::int64_t>::max()}, kRefuse, "of order, dropout and fresh adapter weights"),
    key("train.epochs", [](auto& c) -> auto& { return c.train.epochs; }, Real{0.0, 1e6, true}, kAllow, "passes over the training data"),
    key("train.max_steps", [](auto& c) -> auto& { return c.train.max_steps; }, Whole{0, kManySteps}, kAllow, "optimizer steps; 0: as many as epochs gives"),
    key("train.global_batch", [](auto& c) -> auto& { return c.train.global_batch; }, Whole{1, 1 << 24}, kRefuse, "sequences per optimizer step, over all ranks"),
    key("train.micro_batch", [](auto& c) -> auto& { return c.train.micro_batch; }, Whole{1, 1 << 16}, kBits, "sequences per micro-batch (memory and speed)"),
    key("train.micro_batches_in_flight", [](auto& c) -> auto& { return c.train.micro_batches_in_flight; }, Whole{1, 1 << 10}, kAllow, "micro-batches that go through a block while its weights are there: more memory, fewer gathers and dequantizations"),
    key("train.learning_rate", [](auto& c) -> auto& { return c.train.learning_rate; }, Real{0.0, std::numeric_limits<double>::max()}, kRefuse, "the highest of the schedule"),
    key("train.schedule", [](auto& c) -> auto& { return c.train.schedule; }, kSchedules, kRefuse, "learning rate after warm-up: {}"),
    key("train.warmup_ratio", [](auto& c) -> auto& { return c.train.warmup_ratio; }, Real{0.0, 1.0}, kRefuse, "share of the steps in which the learning rate rises"),
    key("train.optimizer", [](auto& c) -> auto& { return c.train.optimizer; }, kOptimizers, kRefuse, "optimizer"),
    key("train.beta1", [](auto& c) -> auto& { return c.train.beta1; }, Real{0.0, 1.0, false, true}, kRefuse, "decay of the mean gradient"),
    key("train.beta2", [](auto& c) -> auto& { return c.train.beta2; }, Real{0.0, 1.0, false, true}, kRefuse, "decay of the mean square"),
    key("train.eps", [](auto& c) -> auto& { return c.train.eps; }, Real{0.0, 1.0, true}, kRefuse, "added to the root of the mean square"),
    key("train.weight_decay", [](auto& c) -> auto& { return c.train.weight_decay; }, Real{0.0, 10.0}, kRefuse, "decoupled weight decay"),
    key("train.max_grad_norm", [](auto& c) -> auto& { return c.train.max_grad_norm; }, Real{0.0, 1e9}, kRefuse, "gradients above this norm are scaled down; 0: never"),
    key("train.recompute", [](auto& c) -> auto& { return c.train.recompute; }, kRecomputes, kAllow, "what backward computes again: none, selective (norms and activations), block (all but each block's input)"),
    key("train.early_stopping_patience", [](auto& c) -> auto& { return c.train.early_stopping_patience; }, Whole{0, 1 << 20}, kAllow, "evaluations without a better best_metric; 0: never stop early"),
    key("train.max_skipped_steps", [](auto& c) -> auto& { return c.train.max_skipped_steps; }, Whole{0, kManySteps}, kAllow, "non-finite steps that are left out before the job ends"),
    key("train.trainable", [](auto& c) -> auto& { return c.train.trainable; }, Texts{true}, kRefuse, "full fine-tuning: regular expressions of the whole names of the tensors that are trained; empty: all"),
    key("train.deterministic", [](auto& c) -> auto& { return c.train.deterministic; }, Flag{}, kRefuse, "the same bits on every number of ranks"),

    key("parallel.tensor", [](auto& c) -> auto& { return c.parallel.tensor; }, Whole{1, 4096}, kBits, "ranks that share each layer: a number that divides the ranks"),
    key("parallel.sequence_parallel", [](auto& c) -> auto& { return c.parallel.sequence_parallel; }, Flag{}, kBits, "tensor-parallel ranks keep, norm and add up the hidden states of their own tokens alone (less memory for what is kept of each block)"),
    key("parallel.base_shards", [](auto& c) -> auto& { return c.parallel.base_shards; }, ShardCount{}, kAllow, "data-parallel ranks that share one copy of the base: \"auto\" or \"all\", those of a \"node\", or a number that divides them (1: each keeps it whole)"),
    key("parallel.shard_vocabulary", [](auto& c) -> auto& { return c.parallel.shard_vocabulary; }, Flag{}, kAllow, "embedding and head are divided over the ranks that share the base; false: each keeps them whole (fewer bytes sent)"),
    key("parallel.base_device", [](auto& c) -> auto& { return c.parallel.base_device; }, kBaseDevices, kAllow, "auto, device, host: where each rank keeps its part of the base"),
    key("parallel.backend", [](auto& c) -> auto& { return c.parallel.backend; }, kBackends, kBits, "auto, cpu, cuda"),
    key("parallel.communicator", [](auto& c) -> auto& { return c.parallel.communicator; }, kCommunicators, kAllow, "auto, mpi, nccl"),
    key("parallel.watchdog_seconds", [](auto& c) -> auto& { return c.parallel.watchdog_seconds; }, Whole{0, 1 << 24}, kAllow, "a job in which no rank makes progress for this long is ended with exit code 86; 0: never"),
    key("parallel.verify_replicas_every", [](auto& c) -> auto& { return c.parallel.verify_replicas_every; }, Whole{0, 1 << 24}, kAllow, "steps between comparisons of the ranks' adapters, besides those before a checkpoint; 0: none at all"),

    key("eval.every", [](auto& c) -> auto& { return c.eval.every; }, Whole{0, kManySteps}, kAllow, "steps between evaluations; 0: after each epoch"),
    key("eval.max_samples", [](auto& c) -> auto& { return c.eval.max_samples; }, Whole{0, kManySteps}, kAllow, "validation samples at most; 0: all"),
    key("eval.metrics", [](auto& c) -> auto& { return c.eval.metrics; }, kMetrics, kAllow, "list of {}"),
    key("eval.best_metric", [](auto& c) -> auto& { return c.eval.best_metric; }, kMetrics, kAllow, "the metric that decides which adapter is best"),
    key("eval.generate_samples", [](auto& c) -> auto& { return c.eval.generate_samples; }, Whole{0, 1 << 16}, kAllow, "validation questions that base and tuned model both answer at the end; one is always shown"),

    key("checkpoint.every", [](auto& c) -> auto& { return c.checkpoint.every; }, Whole{0, kManySteps}, kAllow, "steps between checkpoints; 0: only at the end"),
    key("checkpoint.keep", [](auto& c) -> auto& { return c.checkpoint.keep; }, Whole{1, 1 << 20}, kAllow, "how many of the newest stay"),
    key("checkpoint.resume", [](auto& c) -> auto& { return c.checkpoint.resume; }, OrPath{kResumes}, kAllow, "auto, never, or a checkpoint folder"),
    key("checkpoint.on_signal", [](auto& c) -> auto& { return c.checkpoint.on_signal; }, Flag{}, kAllow, "SIGUSR1 and SIGTERM save a checkpoint and stop"),
    key("checkpoint.walltime_margin_seconds", [](auto& c) -> auto& { return c.checkpoint.walltime_margin_seconds; }, Whole{0, 1 << 24}, kAllow, "save and stop this long before SLURM ends the job; 0: never"),

    key("output.dir", [](auto& c) -> auto& { return c.output.dir; }, Text{}, kAllow, "where everything is written; runs/NAME by default"),
    key("output.log_every", [](auto& c) -> auto& { return c.output.log_every; }, Whole{1, 1 << 24}, kAllow, "steps between progress lines"),
    key("output.tensorboard", [](auto& c) -> auto& { return c.output.tensorboard; }, Flag{}, kAllow, "write TensorBoard event files"),
    key("output.adapter_dtype", [](auto& c) -> auto& { return c.output.adapter_dtype; }, kAdapterDtypes, kAllow, "of the factors in adapter folders"),
    key("output.model_dtype", [](auto& c) -> auto& { return c.output.model_dtype; }, kModelDtypes, kAllow, "of the weights in the model folders of full fine-tuning: {}; auto: as in model.path"),
    key("output.show_text", [](auto& c) -> auto& { return c.output.show_text; }, Flag{}, kAllow, "false: no sample, no generated text, no quotation of the data in what is printed"),
  };
}
// clang-format on

}  // namespace

const std::vector<Key>& config_keys() {
  static const std::vector<Key> keys = make_keys();
  return keys;
}

const Key* find_key(std::string_view name) {
  const auto& keys = config_keys();
  const auto found = std::find_if(keys.begin(), keys.end(), [name](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

std::string_view section_of(std::string_view name) { return name.substr(0, name.find('.')); }

std::string_view bare_name_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string_view nearest_key(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Key& key : config_keys()) {
    if (bare_name_of(key.name) == bare_name_of(name)) {
      names.push_back(key.name);
    }
  }
  if (names.empty()) {
    for (const Key& key : config_keys()) {
      names.push_back(key.name);
    }
  }
  return nearest_name(name, names);
}

}  // namespace lora_dist
