// The forward and backward walk over the blocks, and the head in chunks of tokens.
#include "src/model/transformer.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rows/rows.h"

namespace lora_dist {

namespace {

LoraPass make_lora_pass(const Transformer& model, const Pass& pass, const StepDropout& dropout, std::span<float> grads) {
  return {model.params,
          grads,
          dropout.p,
          dropout.seed,
          dropout.step,
          view(pass.samples),
          view(pass.positions),
          model.workspace->scratch,
          model.window,
          model.stream};
}

BlockInputs make_block_inputs(const Transformer& model, const Pass& pass, std::int64_t layer, const BlockWeights& weights,
                              KvCache* cache) {
  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  return {&spec,
          &model.base->rest[static_cast<std::size_t>(layer)],
          model.layout,
          weights,
          layer,
          view(pass.starts),
          view(workspace.rope_table.data(), {workspace.rope_positions, spec.head_dim}),
          cache};
}

/// All blocks upwards; hidden states are left in workspace.entering(0 .. layers).
void run_forward(const Transformer& model, const Pass& pass, const LoraPass& lora, KvCache* cache) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens();
  require(n <= workspace.max_tokens, "a pass has more tokens than the workspace was made for");
  if (n > 0) {
    embedding(view(pass.ids), model.base->embedding, workspace.entering(0).rows(n), model.stream);
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
    block_forward(make_block_inputs(model, pass, layer, weights, cache), lora, workspace.entering(layer).rows(n),
                  workspace.block(layer), workspace.entering(layer + 1).rows(n));
    model.window->release(layer);
  }
}

/// All blocks downwards, from the gradient in workspace.gradients.hidden.
void run_backward(const Transformer& model, const Pass& pass, const LoraPass& lora) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens();
  for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
    if (n == 0) {
      model.window->serve(layer, layer - 1);
      continue;
    }
    const BlockWeights weights = model.window->acquire(layer);
    if (layer > 0) {
      model.window->prefetch(layer - 1);
    }
    const BlockInputs block = make_block_inputs(model, pass, layer, weights, nullptr);
    const TensorView entering = workspace.entering(layer).rows(n);
    const bool shared = workspace.blocks.size() == 1;
    if (shared && layer + 1 < layers) {  // the last block's results are still there
      block_recompute(block, lora, entering, workspace.block(layer));
    }
    block_backward(block, lora, entering, workspace.block(layer), workspace.gradients, layer > 0);
    model.window->release(layer);
  }
}

/// The last hidden states of the picked tokens after the final norm. Returns how many there are.
std::int64_t pick_and_norm(const Transformer& model, const Pass& pass, bool only_targets) {
  const Workspace& workspace = *model.workspace;
  std::int64_t picked = 0;
  for (std::int64_t t = 0; t < pass.tokens(); ++t) {
    if (!only_targets || pass.targets[static_cast<std::size_t>(t)] != kNotTrained) {
      workspace.index[static_cast<std::size_t>(picked++)] = static_cast<std::int32_t>(t);
    }
  }
  if (picked > 0) {
    gather_rows(workspace.entering(model.base->spec.layers).rows(pass.tokens()),
                view(static_cast<const std::int32_t*>(workspace.index.data()), {picked}), workspace.picked.rows(picked),
                model.stream);
    rms_norm(workspace.picked.rows(picked), view(model.base->final_norm), model.base->spec.norm_eps,
             workspace.picked_normed.rows(picked), workspace.picked_rstd.column(picked), model.stream);
  }
  return picked;
}

/// For each chunk of the picked tokens calls work(first, logits, normed): the number of its first token, its logits [rows,
/// vocab], and the rows [rows, hidden] they came from.
template <class Work>
void for_each_logits_chunk(const Transformer& model, std::int64_t picked, Work work) {
  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  for (std::int64_t first = 0; first < picked; first += workspace.logits_rows) {
    const std::int64_t rows = std::min(workspace.logits_rows, picked - first);
    const TensorView normed = view(workspace.picked_normed.data + first * spec.hidden, {rows, spec.hidden});
    const TensorView logits = view(workspace.logits.data(), {rows, spec.vocab});
    matmul(normed, Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F, logits, model.stream);
    work(first, logits, normed);
  }
}

std::vector<std::int32_t> picked_targets(const Workspace& workspace, const Pass& pass, std::int64_t picked) {
  std::vector<std::int32_t> targets(static_cast<std::size_t>(picked));
  for (std::size_t i = 0; i < targets.size(); ++i) {
    targets[i] = pass.targets[static_cast<std::size_t>(workspace.index[i])];
  }
  return targets;
}

double sum_in_order(const float* values, std::int64_t count) {
  return std::accumulate(values, values + count, 0.0, [](double sum, float value) { return sum + static_cast<double>(value); });
}

/// Token losses, and the gradient of loss_scale * their sum in workspace.gradients.hidden when `backward`.
double head_and_loss(const Transformer& model, const Pass& pass, float loss_scale, bool backward) {
  const Workspace& workspace = *model.workspace;
  const std::int64_t picked = pick_and_norm(model, pass, true);
  const std::vector<std::int32_t> targets = picked_targets(workspace, pass, picked);
  for_each_logits_chunk(model, picked, [&](std::int64_t first, TensorView logits, TensorView normed) {
    const std::int64_t rows = logits.rows();
    cross_entropy(logits, view(targets.data() + first, {rows}), loss_scale, view(workspace.token_loss.data + first, {rows}),
                  model.stream);
    if (backward) {  // the normed rows have served: their gradient takes their place
      matmul(logits, Transpose::no, model.base->head, Transpose::no, 1.0F, 0.0F, normed, model.stream);
    }
  });
  if (backward) {
    const TensorView dpicked = workspace.gradients.normed.rows(picked);
    std::fill_n(dpicked.as<float>(), dpicked.count(), 0.0F);
    if (picked > 0) {
      rms_norm_backward(workspace.picked_normed.rows(picked), workspace.picked.rows(picked), view(model.base->final_norm),
                        workspace.picked_rstd.column(picked), dpicked, model.stream);
    }
    scatter_rows(dpicked, view(static_cast<const std::int32_t*>(workspace.index.data()), {picked}),
                 workspace.gradients.hidden.rows(pass.tokens()), model.stream);
  }
  return sum_in_order(workspace.token_loss.data, picked);
}

}  // namespace

double forward_backward(const Transformer& model, const Pass& pass, const StepDropout& dropout, float loss_scale,
                        std::span<float> grads) {
  const LoraPass lora = make_lora_pass(model, pass, dropout, grads);
  run_forward(model, pass, lora, nullptr);
  const double loss = pass.tokens() > 0 ? head_and_loss(model, pass, loss_scale, true) : 0.0;
  run_backward(model, pass, lora);
  return loss;
}

double forward_loss(const Transformer& model, const Pass& pass) {
  run_forward(model, pass, make_lora_pass(model, pass, {}, {}), nullptr);
  return pass.tokens() > 0 ? head_and_loss(model, pass, 1.0F, false) : 0.0;
}

void forward_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax) {
  run_forward(model, pass, make_lora_pass(model, pass, {}, {}), nullptr);
  const std::int64_t picked = pick_and_norm(model, pass, false);
  for_each_logits_chunk(model, picked, [&](std::int64_t first, TensorView logits, TensorView /*normed*/) {
    const std::int64_t rows = logits.rows();
    token_log_prob(logits, view(pass.targets.data() + first, {rows}), view(log_prob.data() + first, {rows}),
                   view(argmax.data() + first, {rows}), model.stream);
  });
}

std::span<float> forward_next(const Transformer& model, std::span<const std::int32_t> ids, KvCache& cache) {
  const auto n = static_cast<std::int32_t>(ids.size());
  std::vector<std::int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(cache.length));
  const std::vector<std::int32_t> samples(ids.size(), 0);
  const std::array<std::int32_t, 2> starts = {0, n};
  const std::vector<std::int32_t> targets(ids.size(), kNotTrained);
  const Pass pass{ids, targets, positions, samples, starts};
  run_forward(model, pass, make_lora_pass(model, pass, {}, {}), &cache);
  cache.length += n;

  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  const float* last = workspace.entering(spec.layers).data + (n - 1) * spec.hidden;
  rms_norm(view(last, {1, spec.hidden}), view(model.base->final_norm), spec.norm_eps, workspace.picked_normed.rows(1),
           workspace.picked_rstd.column(1), model.stream);
  matmul(workspace.picked_normed.rows(1), Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F,
         view(workspace.logits.data(), {1, spec.vocab}), model.stream);
  return workspace.logits.first(static_cast<std::size_t>(spec.vocab));
}

}  // namespace lora_dist
