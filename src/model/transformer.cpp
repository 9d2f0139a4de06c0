// The forward and backward walk over the blocks, and the head in chunks of tokens.
#include "src/model/transformer.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/cast/cast.h"
#include "kernels/copy/copy.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cross_entropy_part/cross_entropy_part.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding_part/embedding_part.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rows/rows.h"

namespace lora_dist {

namespace {

std::span<std::int32_t> first(std::span<std::int32_t> buffer, std::size_t count) {
  require(count <= buffer.size(), "a pass is longer than the workspace was made for");
  return buffer.first(count);
}

/// Puts host values where the operators run, at the front of `buffer`.
ConstTensorView stage(std::span<const std::int32_t> values, std::span<std::int32_t> buffer, const Stream& stream) {
  const TensorView there = view(first(buffer, values.size()));
  from_host(view(values), there, stream);
  return there;
}

/// A pass where the operators run.
struct StagedPass {
  ConstTensorView ids;        // i32 [tokens]
  ConstTensorView positions;  // i32 [tokens]
  ConstTensorView samples;    // i32 [tokens]
  ConstTensorView starts;     // i32 [segments + 1]
  std::int64_t tokens = 0;
  int longest = 0;             // tokens of the longest segment
  KvCache* cache = nullptr;    // one sequence being generated
  ConstTensorView key_starts;  // i32 [2]
};

StagedPass stage_pass(const Transformer& model, const Pass& pass, KvCache* cache) {
  const PassBuffers& to = model.workspace->pass;
  StagedPass staged;
  staged.tokens = pass.tokens();
  staged.cache = cache;
  require(staged.tokens <= model.workspace->max_tokens, "a pass has more tokens than the workspace was made for");
  if (staged.tokens == 0) {
    return staged;
  }
  staged.ids = stage(pass.ids, to.ids, model.stream);
  staged.positions = stage(pass.positions, to.positions, model.stream);
  staged.samples = stage(pass.samples, to.samples, model.stream);
  staged.starts = stage(pass.starts, to.starts, model.stream);
  for (std::size_t s = 0; s + 1 < pass.starts.size(); ++s) {
    staged.longest = std::max(staged.longest, pass.starts[s + 1] - pass.starts[s]);
  }
  if (cache != nullptr) {
    const std::array<std::int32_t, 2> key_starts = {0, static_cast<std::int32_t>(cache->length + staged.tokens)};
    staged.key_starts = stage(key_starts, to.key_starts, model.stream);
  }
  return staged;
}

LoraPass make_lora_pass(const Transformer& model, const StagedPass& pass, const StepDropout& dropout, std::span<float> grads) {
  const Workspace& workspace = *model.workspace;
  ConstTensorView params = view(model.params);
  if (workspace.compute_dtype != DType::f32 && !model.params.empty()) {
    const TensorView narrow{workspace.factors.data, workspace.factors.dtype, params.shape};
    cast(params, narrow, model.stream);
    params = narrow;
  }
  return {params,       grads,        dropout.p,   dropout.seed, dropout.step, pass.samples, pass.positions, workspace.scratch,
          model.tensor, model.window, model.stream};
}

BlockInputs make_block_inputs(const Transformer& model, const StagedPass& pass, std::int64_t layer, const BlockWeights& weights) {
  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  return {
      &spec,        &model.base->rest[static_cast<std::size_t>(layer)],
      model.layout, weights,
      layer,        pass.starts,
      pass.longest, view(static_cast<const float*>(workspace.rope_table.data()), {workspace.rope_positions, spec.rotary_width()}),
      pass.cache,   pass.key_starts};
}

/// What enters the first block.
void embed(const Transformer& model, const StagedPass& pass) {
  const FrozenBase& base = *model.base;
  const TensorView hidden = model.workspace->entering(0).rows(pass.tokens);
  if (model.tensor == nullptr) {
    embedding(pass.ids, base.embedding, hidden, model.stream);
  } else {
    embedding_part(pass.ids, base.part.vocab.begin, base.embedding, hidden, model.stream);
    model.tensor->all_reduce_sum(hidden, WireKind::tensor_activation);
  }
  if (base.spec.embedding_scale != 1.0F) {
    scale(hidden, base.spec.embedding_scale, model.stream);
  }
  if (base.spec.learned_positions) {
    add_rows(base.positions, pass.positions, hidden, model.stream);
  }
}

/// All blocks upwards; hidden states are left in workspace.entering(0 .. layers).
void run_forward(const Transformer& model, const StagedPass& pass, const LoraPass& lora) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens;
  if (n > 0) {
    embed(model, pass);
  }
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::int64_t next = layer + 1 < layers ? layer + 1 : -1;
    if (n == 0) {
      model.window->serve(layer, next);
      continue;
    }
    const BlockWeights weights = model.window->acquire(layer);
    if (next >= 0) {
      model.window->prefetch(next);
    }
    block_forward(make_block_inputs(model, pass, layer, weights), lora, workspace.entering(layer).rows(n), workspace.block(layer),
                  workspace.entering(layer + 1).rows(n));
    model.window->release(layer);
  }
}

/// All blocks downwards, from the gradient in workspace.gradients.hidden.
void run_backward(const Transformer& model, const StagedPass& pass, const LoraPass& lora) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens;
  for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
    if (n == 0) {
      model.window->serve(layer, layer - 1);
      continue;
    }
    const BlockWeights weights = model.window->acquire(layer);
    if (layer > 0) {
      model.window->prefetch(layer - 1);
    }
    const BlockInputs block = make_block_inputs(model, pass, layer, weights);
    const TensorView entering = workspace.entering(layer).rows(n);
    if (layer + 1 < layers) {  // the last block's results are still there
      if (workspace.recompute == Recompute::block) {
        block_recompute(block, lora, entering, workspace.block(layer));
      } else if (workspace.recompute == Recompute::selective) {
        block_recompute_cheap(block, lora, entering, workspace.block(layer));
      }
    }
    block_backward(block, lora, entering, workspace.block(layer), workspace.gradients, layer > 0);
    model.window->release(layer);
  }
}

/// The tokens that the head looks at, as they lie where the operators run.
struct Picked {
  std::int64_t count = 0;
  ConstTensorView index;    // i32 [count]: which token
  ConstTensorView targets;  // i32 [count]
};

/// Picks tokens and puts their last hidden states after the final norm in the workspace.
Picked pick_and_norm(const Transformer& model, const Pass& pass, bool only_targets) {
  const Workspace& workspace = *model.workspace;
  std::vector<std::int32_t> index;
  std::vector<std::int32_t> targets;
  for (std::int64_t t = 0; t < pass.tokens(); ++t) {
    const std::int32_t target = pass.targets[static_cast<std::size_t>(t)];
    if (!only_targets || target != kNotTrained) {
      index.push_back(static_cast<std::int32_t>(t));
      targets.push_back(target);
    }
  }
  Picked picked;
  picked.count = static_cast<std::int64_t>(index.size());
  if (picked.count == 0) {
    return picked;
  }
  picked.index = stage(index, workspace.pass.index, model.stream);
  picked.targets = stage(targets, workspace.pass.targets, model.stream);
  gather_rows(workspace.entering(model.base->spec.layers).rows(pass.tokens()), picked.index, workspace.picked.rows(picked.count),
              model.stream);
  norm(model.base->final_norm, model.base->spec.norm_eps, workspace.picked.rows(picked.count),
       workspace.picked_normed.rows(picked.count), workspace.picked_norm.rows(picked.count), model.stream);
  return picked;
}

/// Some of the picked tokens with their logits.
struct LogitsChunk {
  std::int64_t first = 0;
  std::int64_t rows = 0;
  TensorView normed;        // [rows, hidden]: what the logits came from
  TensorView logits;        // f32 [rows, vocab]
  ConstTensorView targets;  // i32 [rows]
};

template <class Work>
void for_each_logits_chunk(const Transformer& model, const Picked& picked, Work work) {
  const Workspace& workspace = *model.workspace;
  for (std::int64_t first = 0; first < picked.count; first += workspace.logits_rows) {
    LogitsChunk chunk;
    chunk.first = first;
    chunk.rows = std::min(workspace.logits_rows, picked.count - first);
    chunk.normed = workspace.picked_normed.rows_from(first, chunk.rows);
    chunk.logits = view(workspace.logits.data(), {chunk.rows, model.base->spec.vocab});
    chunk.targets = view(picked.targets.as<std::int32_t>() + first, {chunk.rows});
    matmul(chunk.normed, Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F, chunk.logits, model.stream);
    work(chunk);
  }
}

/// Losses of a chunk, and its gradient over the logits or beside them. Where ranks share the vocabulary they tell each other
/// three numbers of each row.
void chunk_loss(const Transformer& model, const LogitsChunk& chunk, float loss_scale) {
  const Workspace& workspace = *model.workspace;
  const TensorView loss = workspace.token_loss.column_from(chunk.first, chunk.rows);
  const TensorView gradient = workspace.logits_gradient.rows(chunk.rows);
  if (model.tensor == nullptr) {
    cross_entropy(chunk.logits, chunk.targets, loss_scale, loss, gradient, model.stream);
    return;
  }
  const std::int64_t first_id = model.base->part.vocab.begin;
  const auto floats = static_cast<std::size_t>(chunk.rows * kSoftmaxNumbers);
  const std::span<float> mine = workspace.softmax_numbers.first(floats);
  const std::span<float> all = workspace.all_softmax_numbers.first(floats * static_cast<std::size_t>(model.tensor->size()));
  softmax_numbers(chunk.logits, chunk.targets, first_id, view(mine.data(), {chunk.rows, kSoftmaxNumbers}), model.stream);
  model.tensor->all_gather(std::as_bytes(mine), std::as_writable_bytes(all), WireKind::tensor_activation);
  const ConstTensorView numbers = view(all.data(), {chunk.rows * model.tensor->size(), kSoftmaxNumbers});
  cross_entropy_part(chunk.logits, chunk.targets, first_id, numbers, loss_scale, loss, gradient, model.stream);
}

/// Losses of the picked tokens in workspace.token_loss, and the gradient of loss_scale * their sum in workspace.gradients.hidden
/// when `backward`. Returns how many tokens were picked.
std::int64_t head_and_loss(const Transformer& model, const Pass& pass, float loss_scale, bool backward) {
  const Workspace& workspace = *model.workspace;
  const Picked picked = pick_and_norm(model, pass, true);
  for_each_logits_chunk(model, picked, [&](const LogitsChunk& chunk) {
    chunk_loss(model, chunk, loss_scale);
    if (backward) {  // the normed rows have served: their gradient takes their place
      matmul(workspace.logits_gradient.rows(chunk.rows), Transpose::no, model.base->head, Transpose::no, 1.0F, 0.0F, chunk.normed,
             model.stream);
    }
  });
  if (!backward) {
    return picked.count;
  }
  if (picked.count == 0) {
    zero(workspace.gradients.hidden.rows(pass.tokens()), model.stream);
    return 0;
  }
  if (model.tensor != nullptr) {
    model.tensor->all_reduce_sum(workspace.picked_normed.rows(picked.count), WireKind::tensor_activation);
  }
  const TensorView dpicked = workspace.gradients.normed.rows(picked.count);
  zero(dpicked, model.stream);
  norm_backward(model.base->final_norm, workspace.picked_normed.rows(picked.count), workspace.picked.rows(picked.count),
                workspace.picked_norm.rows(picked.count), dpicked, model.stream);
  scatter_rows(dpicked, picked.index, workspace.gradients.hidden.rows(pass.tokens()), model.stream);
  return picked.count;
}

/// One token's logits from the ranks that share the vocabulary.
std::vector<float> join_logits(const Transformer& model) {
  const Workspace& workspace = *model.workspace;
  const int ranks = model.tensor->size();
  model.tensor->all_gather(std::as_bytes(workspace.next_logits), std::as_writable_bytes(workspace.all_next_logits),
                           WireKind::tensor_activation);
  std::vector<float> padded(workspace.all_next_logits.size());
  to_host(view(workspace.all_next_logits), view(std::span(padded)), model.stream);
  std::vector<float> out;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto from = padded.begin() + static_cast<std::ptrdiff_t>(workspace.next_logits.size()) * rank;
    out.insert(out.end(), from, from + vocab_part(model.base->part, rank).size());
  }
  return out;
}

/// Waits for the losses and adds them in double, in the order of the tokens.
double sum_of_losses(const Transformer& model, std::int64_t count) {
  std::vector<float> losses(static_cast<std::size_t>(count));
  if (count > 0) {
    to_host(model.workspace->token_loss.column(count), view(std::span(losses)), model.stream);
  }
  double sum = 0.0;
  for (const float loss : losses) {
    sum += static_cast<double>(loss);
  }
  return sum;
}

}  // namespace

double forward_backward(const Transformer& model, const Pass& pass, const StepDropout& dropout, float loss_scale,
                        std::span<float> grads) {
  const StagedPass staged = stage_pass(model, pass, nullptr);
  const LoraPass lora = make_lora_pass(model, staged, dropout, grads);
  run_forward(model, staged, lora);
  const std::int64_t picked = staged.tokens > 0 ? head_and_loss(model, pass, loss_scale, true) : 0;
  run_backward(model, staged, lora);
  return sum_of_losses(model, picked);  // only now: a GPU has had all of the pass before the host waits for it
}

double forward_loss(const Transformer& model, const Pass& pass) {
  const StagedPass staged = stage_pass(model, pass, nullptr);
  run_forward(model, staged, make_lora_pass(model, staged, {}, {}));
  return sum_of_losses(model, staged.tokens > 0 ? head_and_loss(model, pass, 1.0F, false) : 0);
}

void forward_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax) {
  require(model.tensor == nullptr, "log-probabilities are for ranks that compute alone");
  const Workspace& workspace = *model.workspace;
  const StagedPass staged = stage_pass(model, pass, nullptr);
  run_forward(model, staged, make_lora_pass(model, staged, {}, {}));
  const Picked picked = pick_and_norm(model, pass, false);
  for_each_logits_chunk(model, picked, [&](const LogitsChunk& chunk) {
    token_log_prob(chunk.logits, chunk.targets, workspace.token_loss.column_from(chunk.first, chunk.rows),
                   view(workspace.pass.argmax.data() + chunk.first, {chunk.rows}), model.stream);
  });
  if (picked.count > 0) {
    const auto count = static_cast<std::size_t>(picked.count);
    to_host(workspace.token_loss.column(picked.count), view(log_prob.first(count)), model.stream);
    to_host(view(workspace.pass.argmax.first(count)), view(argmax.first(count)), model.stream);
  }
}

std::vector<float> forward_next(const Transformer& model, std::span<const std::int32_t> ids, KvCache& cache) {
  const auto n = static_cast<std::int32_t>(ids.size());
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(cache.length));
  const std::vector<std::int32_t> samples(ids.size(), 0);
  const std::array<std::int32_t, 2> starts = {0, n};
  const std::vector<std::int32_t> targets(ids.size(), kNotTrained);
  const Pass pass{ids, targets, positions, samples, starts};
  const StagedPass staged = stage_pass(model, pass, &cache);
  run_forward(model, staged, make_lora_pass(model, staged, {}, {}));
  cache.length += n;

  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  norm(model.base->final_norm, spec.norm_eps, workspace.entering(spec.layers).rows_from(n - 1, 1),
       workspace.picked_normed.rows(1), workspace.picked_norm.rows(1), model.stream);
  const std::span<float> to = model.tensor == nullptr ? workspace.logits : workspace.next_logits;
  const TensorView logits = view(to.data(), {1, spec.vocab});
  matmul(workspace.picked_normed.rows(1), Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F, logits, model.stream);
  if (model.tensor != nullptr) {
    return join_logits(model);
  }
  std::vector<float> out(static_cast<std::size_t>(spec.vocab));
  to_host(logits, view(std::span(out)), model.stream);
  return out;
}

}  // namespace lora_dist
