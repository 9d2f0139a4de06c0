# A Spack recipe. `spack repo add launch/spack` once, in a copy of the sources; then `spack install lora-dist` (with `+cuda cuda_arch=90`
# for GPUs). The sources are those beside it until there is an archive with a checksum to name here:
# `spack dev-build lora-dist@main` in the root of the sources builds them.
from spack.package import *


class LoraDist(CMakePackage, CudaPackage):
    """Fine-tunes large language models with LoRA on clusters, as one C++ program over MPI."""

    homepage = "https://localhost/lora_dist"
    license("Apache-2.0")

    version("main")

    variant("nccl", default=True, when="+cuda", description="Exchange between GPUs by NCCL")

    # As cmake/lora_dist_dependencies.cmake states and checks them.
    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("mpi@3:")
    depends_on("hdf5@1.10.7:")
    depends_on("onednn@2:")
    depends_on("intel-tbb@2021.5:")
    depends_on("boost@1.66: +program_options")
    depends_on("tomlplusplus@3:")
    depends_on("eigen@3.4:")
    depends_on("spectra@1.0:")
    depends_on("nlohmann-json@3.9:")
    depends_on("fmt@8:")
    depends_on("openssl@1.1.1:")
    depends_on("sentencepiece")
    depends_on("pcre2@10.40:")
    depends_on("utf8proc@2.7:")
    depends_on("zlib-api")
    depends_on("nccl@2.18:", when="+nccl")
    depends_on("cuda@12.8:", when="+cuda")

    conflicts("%gcc@:11")

    def cmake_args(self):
        args = [
            self.define("LORA_DIST_TESTS", False),
            self.define("LORA_DIST_BENCHMARKS", False),
            self.define("LORA_DIST_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF"),
        ]
        if self.spec.satisfies("+cuda"):
            args.append(self.define("LORA_DIST_CUDA_ARCHITECTURES", self.spec.variants["cuda_arch"].value))
        return args
