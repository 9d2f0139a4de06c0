// The resolved configuration: a plain member per key of the TOML files, with the key's name and default.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "src/core/adalora_options.h"
#include "src/core/by_path.h"
#include "src/core/choices.h"

namespace lora_dist {

struct ModelConfig {
  std::string path;  // a Hugging Face model folder or a GGUF file; required
  Quantization quantization = Quantization::nf4;
  bool double_quant = true;            // quantize the block scales too
  int block_size = 64;                 // weights per scale
  std::optional<DType> compute_dtype;  // kComputeDtypes
};

/// [adapter.prompt]
struct PromptConfig {
  int virtual_tokens = 20;  // trained tokens before every sequence
  PromptInit init = PromptInit::random;
  std::string text;                          // init = "text": repeated or cut to virtual_tokens
  TunedEncoder encoder = TunedEncoder::mlp;  // of p_tuning
  int encoder_hidden = 0;                    // its width; 0: the model's hidden size
};

/// [adapter.prefix]
struct PrefixConfig {
  int virtual_tokens = 20;  // with trained keys and values before every sequence
  bool projection = false;  // an encoder makes them
  int hidden = 0;           // its width; 0: that of a token's keys
};

struct AdapterConfig {
  MethodChoice method;
  int r = 16;
  double alpha = 32.0;  // the adapter's scale is alpha / r, or alpha / sqrt(r) with rslora
  double dropout = 0.05;
  std::vector<std::string> target_modules = {"all-linear"};  // names of linear layers, or only "all-linear"
  bool rslora = false;
  std::vector<std::string> exclude_modules;       // names of linear layers that get none
  std::vector<std::int64_t> layers_to_transform;  // numbers of the adapted blocks; empty: all
  PathPattern<std::int64_t> rank_pattern;         // r of the linear layers that match
  PathPattern<double> alpha_pattern;
  LoraInit init = LoraInit::uniform;
  std::vector<std::string> modules_to_save;           // endings of paths of modules that are trained whole
  bool ensure_weight_tying = false;                   // a tied head is trained with the embedding of modules_to_save
  std::vector<std::int64_t> trainable_token_indices;  // tokens whose rows of the embedding are trained
  double loraplus_ratio = 0.0;                        // learning rate of B over that of A; 0: the same
  std::vector<std::string> ia3_feedforward_modules;   // the key is adapter.ia3.feedforward_modules
  double vera_d_initial = 0.1;                        // the keys are in [adapter.vera]
  std::int64_t vera_projection_key = 0;
  bool vera_save_projection = true;
  AdaLoraOptions adalora;
  BottleneckPlacement bottleneck_placement = BottleneckPlacement::pfeiffer;  // the key is adapter.bottleneck.placement
  double bottleneck_reduction = 16.0;                                        // hidden / reduction is the bottleneck's width
  std::optional<Activation> bottleneck_activation;                           // kBottleneckActivations
  PromptConfig prompt;
  PrefixConfig prefix;
  std::string init_from;  // folder of an adapter (PEFT's or the adapters library's) to start from; empty: fresh weights
};

struct TokenizerConfig {
  std::vector<std::string> add_tokens;  // texts that become tokens, whose rows are trained
  std::vector<std::string> add_special_tokens;
  std::vector<std::int64_t> new_ids = {};  // of those that the tokenizer does not have; no key
};

struct DataConfig {
  std::vector<std::string> train;       // files or name patterns; required
  std::vector<std::string> validation;  // files; empty: validation_split of the training data
  double validation_split = 0.05;
  std::optional<RowKind> format;            // kRowKinds
  std::optional<RowTemplate> row_template;  // the key is `template`, a reserved word in C++
  TrainOn train_on = TrainOn::completion;
  int max_length = 1024;  // tokens
  bool packing = true;
  bool shuffle = true;
  Overlong overlong = Overlong::truncate;
  BadRows bad_rows = BadRows::error;
  std::int64_t max_bad_rows = 100;   // skipped rows of all files; 0: no limit
  WordOrPath<TokenCache> cache_dir;  // folder of the token cache; empty: output.dir/token_cache; "none": no cache
};

struct TrainConfig {
  std::int64_t seed = 42;
  double epochs = 3.0;
  std::int64_t max_steps = 0;       // 0: from `epochs`
  int global_batch = 64;            // sequences per optimizer step
  int micro_batch = 4;              // sequences per micro-batch
  int micro_batches_in_flight = 1;  // that go through a block per fetch
  double learning_rate = 2e-4;
  Schedule schedule = Schedule::cosine;
  double warmup_ratio = 0.03;
  Optimizer optimizer = Optimizer::adamw;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double max_grad_norm = 1.0;  // 0: no clipping
  Recompute recompute = Recompute::block;
  int early_stopping_patience = 0;     // evaluations without improvement; 0: never stop early
  std::int64_t max_skipped_steps = 0;  // non-finite steps to skip before the job fails
  bool deterministic = true;
  std::vector<std::string> trainable;  // of full fine-tuning: patterns of the trained tensors' names; empty: all
};

struct ParallelConfig {
  int tensor = 1;
  bool sequence_parallel = false;         // TP ranks divide hidden states between layers by tokens
  BaseShards base_shards;                 // a count of 1: every rank keeps the whole base
  bool shard_vocabulary = true;           // ranks divide embedding and head like the blocks; false: each rank keeps them whole
  std::optional<BaseDevice> base_device;  // where this rank's shard of the base is stored
  std::optional<Backend> backend;
  std::optional<CommunicatorKind> communicator;
  int watchdog_seconds = 600;       // 0: off
  int verify_replicas_every = 100;  // steps; 0: never
};

struct EvalConfig {
  std::int64_t every = 0;        // steps; 0: after each epoch
  std::int64_t max_samples = 0;  // 0: all
  std::vector<Metric> metrics = {Metric::loss, Metric::perplexity};
  Metric best_metric = Metric::loss;
  int generate_samples = 0;
};

struct CheckpointConfig {
  std::int64_t every = 100;   // steps; 0: only at the end
  int keep = 3;               // the newest checkpoints to keep
  WordOrPath<Resume> resume;  // auto | never | a checkpoint folder
  bool on_signal = true;      // SIGUSR1 and SIGTERM save a checkpoint after the current step and end the job
  int walltime_margin_seconds = 120;
};

struct OutputConfig {
  std::string dir;  // default runs/NAME; NAME: the configuration file's name without .toml
  int log_every = 1;
  bool tensorboard = true;
  DType adapter_dtype = DType::f32;  // kAdapterDtypes
  std::optional<DType> model_dtype;  // kModelDtypes
  bool show_text = true;
};

struct Config {
  ModelConfig model;
  AdapterConfig adapter;
  TokenizerConfig tokenizer;
  DataConfig data;
  TrainConfig train;
  ParallelConfig parallel;
  EvalConfig eval;
  CheckpointConfig checkpoint;
  OutputConfig output;

  /// Origin of each value, by key: "default", "configs/x.toml:12" or "--set".
  std::map<std::string, std::string> origins;
  /// True if the user wrote the key, in a file or with --set.
  bool is_explicit(const std::string& key) const {
    const auto found = origins.find(key);
    return found != origins.end() && found->second != "default";
  }
};

}  // namespace lora_dist
