// The setting of OpenMP's default number of threads.
#include "kernels/common/parallel.h"

#include <omp.h>

namespace lora_dist {

void set_library_threads() { omp_set_num_threads(1); }

}  // namespace lora_dist
