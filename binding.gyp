{
  "target_defaults": {
    "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_DISABLE_CPP_EXCEPTIONS", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"],
    "cflags!": ["-O3"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3"],
    "cflags_cc": [
      "-std=c++20", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-fno-rtti",
      "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wno-psabi", "-Wno-ignored-attributes",
      "-ffunction-sections", "-fdata-sections"
    ],
    "xcode_settings": {
      "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "GCC_OPTIMIZATION_LEVEL": "2",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fvisibility=hidden"]
    },
    "msvs_settings": { "VCCLCompilerTool": { "ExceptionHandling": 1 } }
  },
  "targets": [
    {
      "target_name": "simdformer",
      "sources": ["native/addon.cc", "native/heap.cc", "native/panels.cc", "native/run.cc", "native/threads.cc"],
      "dependencies": ["kernels"],
      "cflags_cc!": ["-fno-exceptions"],
      "conditions": [["OS == 'linux'", { "ldflags": ["-s", "-Wl,--gc-sections"] }]]
    },
    {
      "target_name": "kernels",
      "type": "static_library",
      "sources": ["<!@(node -p \"require('fs').readdirSync('native/isa').filter(f => f.endsWith('.cc')).map(f => 'native/isa/' + f).join(' ')\")"],
      "cflags_cc": [
        "-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-falign-jumps=1", "-falign-labels=1", "-falign-loops=8"
      ]
    }
  ]
}
