// The forward and backward walk over the blocks; what comes after them is in head.cpp.
#include "src/transformer/transformer.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/embedding/embedding.h"
#include "src/core/pulse.h"
#include "src/transformer/head.h"
#include "src/transformer/stage_values.h"

namespace lora_dist {

namespace {

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
  staged.ids = stage_values(pass.ids, to.ids, model.stream);
  staged.positions = stage_values(pass.positions, to.positions, model.stream);
  staged.samples = stage_values(pass.samples, to.samples, model.stream);
  staged.starts = stage_values(pass.starts, to.starts, model.stream);
  for (std::size_t s = 0; s + 1 < pass.starts.size(); ++s) {
    staged.longest = std::max(staged.longest, pass.starts[s + 1] - pass.starts[s]);
  }
  if (cache != nullptr) {
    const std::array<std::int32_t, 2> key_starts = {0, static_cast<std::int32_t>(cache->length + staged.tokens)};
    staged.key_starts = stage_values(key_starts, to.key_starts, model.stream);
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
  return {params,
          grads,
          dropout.p,
          dropout.seed,
          dropout.step,
          pass.samples,
          pass.positions,
          workspace.scratch,
          tensor_rows(model, pass.tokens),
          model.window,
          model.stream};
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

/// Rows of the embedding, chunk by chunk of the vocabulary.
void look_up(const Transformer& model, const StagedPass& pass, const TensorView& hidden) {
  const FrozenBase& base = *model.base;
  const VocabTable& table = base.embedding;
  const bool alone = table.chunks == 1 && model.tensor == nullptr;
  if (!alone && pass.tokens > 0) {
    zero(hidden, model.stream);
  }
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    const ConstTensorView rows = model.window->tables().acquire(table, i);
    if (i + 1 < table.chunks) {
      model.window->tables().prefetch(table, i + 1);
    }
    if (pass.tokens > 0 && alone) {
      embedding(pass.ids, rows, hidden, model.stream);
    } else if (pass.tokens > 0) {
      embedding_part(pass.ids, base.part.vocab.begin + table.chunk(i).begin, rows, hidden, model.stream);
    }
    model.window->tables().release(table, i);
  }
}

/// Rows that are padding have no position.
void add_positions(const Transformer& model, const StagedPass& pass, const TensorRows& rows, const TensorView& hidden) {
  const std::int64_t count = std::min(rows.own(), pass.tokens - rows.first());
  if (count > 0) {
    const auto* positions = pass.positions.as<std::int32_t>() + rows.first();
    add_rows(model.base->positions, view(positions, {count}), {hidden.data, hidden.dtype, {count, hidden.cols()}}, model.stream);
  }
}

/// What enters the first block: own rows.
void embed(const Transformer& model, const StagedPass& pass, const TensorRows& rows) {
  const FrozenBase& base = *model.base;
  const RowBuffer& entering = model.workspace->entering(0);
  const RowBuffer& all = rows.divided() ? rows.all : entering;
  look_up(model, pass, pass.tokens > 0 ? all.rows(pass.tokens) : TensorView{});
  if (pass.tokens == 0) {
    return;
  }
  const TensorView sum = sum_rows(rows, all);
  const TensorView hidden = entering.rows(rows.own());
  if (rows.divided()) {
    copy(sum, hidden, model.stream);
  }
  if (base.spec.embedding_scale != 1.0F) {
    scale(hidden, base.spec.embedding_scale, model.stream);
  }
  if (base.spec.learned_positions) {
    add_positions(model, pass, rows, hidden);
  }
}

/// What comes after the last block is fetched while that block computes.
void prefetch_after(const Transformer& model, std::int64_t next) {
  if (next < model.base->spec.layers) {
    model.window->prefetch(next);
  } else {
    model.window->tables().prefetch(model.base->head, 0);
  }
}

/// All blocks upwards; hidden states are left in workspace.entering(0 .. layers).
void run_forward(const Transformer& model, const StagedPass& pass, const LoraPass& lora) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens;
  embed(model, pass, lora.rows);
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    beat();
    const BlockWeights weights = model.window->acquire(layer);
    prefetch_after(model, layer + 1);
    if (n == 0) {  // it serves the others
      model.window->release(layer);
      continue;
    }
    const std::int64_t own = lora.rows.own();
    block_forward(make_block_inputs(model, pass, layer, weights), lora, workspace.entering(layer).rows(own),
                  workspace.block(layer), workspace.entering(layer + 1).rows(own));
    model.window->release(layer);
  }
}

/// All blocks downwards, from the gradient in workspace.gradients.hidden.
void run_backward(const Transformer& model, const StagedPass& pass, const LoraPass& lora) {
  const std::int64_t layers = model.base->spec.layers;
  const Workspace& workspace = *model.workspace;
  const std::int64_t n = pass.tokens;
  for (std::int64_t layer = layers - 1; layer >= 0; --layer) {
    beat();
    if (n == 0) {
      model.window->serve(layer, layer - 1);
      continue;
    }
    const BlockWeights weights = model.window->acquire(layer);
    if (layer > 0) {
      model.window->prefetch(layer - 1);
    }
    const BlockInputs block = make_block_inputs(model, pass, layer, weights);
    const TensorView entering = workspace.entering(layer).rows(lora.rows.own());
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

}  // namespace

TensorRows tensor_rows(const Transformer& model, std::int64_t tokens) {
  return {model.tensor, tokens, model.workspace->all_rows, model.stream, model.workspace->piece_tokens};
}

TensorView last_hidden(const Transformer& model, std::int64_t tokens) {
  const TensorRows rows = tensor_rows(model, tokens);
  return rows_of_all(rows, model.workspace->entering(model.base->spec.layers).rows(rows.own()));
}

double forward_backward(const Transformer& model, const Pass& pass, const StepDropout& dropout, float loss_scale,
                        std::span<float> grads) {
  const StagedPass staged = stage_pass(model, pass, nullptr);
  const LoraPass lora = make_lora_pass(model, staged, dropout, grads);
  run_forward(model, staged, lora);
  const std::int64_t picked = head_and_loss(model, pass, loss_scale, true);
  run_backward(model, staged, lora);
  return sum_of_losses(model, picked);  // only now: a GPU has had all of the pass before the host waits for it
}

double forward_loss(const Transformer& model, const Pass& pass) {
  const StagedPass staged = stage_pass(model, pass, nullptr);
  run_forward(model, staged, make_lora_pass(model, staged, {}, {}));
  return sum_of_losses(model, head_and_loss(model, pass, 1.0F, false));
}

void forward_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax) {
  require(model.tensor == nullptr, "log-probabilities are for ranks that compute alone");
  const StagedPass staged = stage_pass(model, pass, nullptr);
  run_forward(model, staged, make_lora_pass(model, staged, {}, {}));
  head_log_probs(model, pass, log_prob, argmax);
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
  return head_next(model, n);
}

}  // namespace lora_dist
