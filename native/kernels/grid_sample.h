// Sampling of images at computed positions, as in deformable attention.
//
//   x [batch, height, width, channels], grid [batch, points, 2] (column, then row), y [batch, points, channels]
//
// Positions from -1 to 1 span the image: from the centre of the first pixel to that of the last if `alignCorners`, else
// from edge to edge. The result interpolates the four pixels around a position, or is the nearest pixel if `nearest`.
// Outside the image, values are zero, or those of the outer pixels if `border`.
#include "kernels/shared/blocks.h"
#include "kernels/shared/broadcast.h"

struct GridShape {
  uint32_t batch, height, width, channels, points;
  uint32_t nearest, border, alignCorners;

  uint64_t pixels() const { return uint64_t{height} * width; }
  uint64_t places() const { return uint64_t{batch} * points; }

  const char* check(Span x, Span grid, Span y) const {
    const uint32_t image[] = {batch, height, width, channels}, result[] = {batch, points, channels};
    const uint32_t coordinates[] = {batch, points, 2};
    REQUIRE(product(image, 0, 4) > 0 && product(result, 0, 3) > 0, "a size is 0");
    REQUIRE(height <= kMaxSize && width <= kMaxSize, "the image is too large");
    REQUIRE(!x.present() || x.covers(product(image, 0, 4)), "x is too small for its shape");
    REQUIRE(grid.covers(product(coordinates, 0, 3)), "grid is too small for its shape");
    REQUIRE(y.covers(product(result, 0, 3)), "y is too small for its shape");
    return nullptr;
  }

  static constexpr uint32_t kMaxSize = 1 << 24;  // columns and rows are exact as floats
};

// A coordinate in pixels, and its derivative by the grid coordinate.
struct Coordinate {
  float at, slope;

  Coordinate(float place, uint32_t size, const GridShape& shape) {
    const float length = static_cast<float>(size);
    slope = (shape.alignCorners != 0 ? length - 1 : length) * .5f;
    at = shape.alignCorners != 0 ? (place + 1) * slope : ((place + 1) * length - 1) * .5f;
    if (shape.border != 0) {
      if (!(at > 0)) at = 0, slope = 0;  // also for NaN
      if (at >= length - 1) at = length - 1, slope = 0;
    }
    if (!(at > -2 && at < length + 1)) at = -2, slope = 0;  // outside
  }
};

// The pixels for a position that lie inside the image: their indices, their weights, and the derivatives of the weights
// by column and row.
struct Taps {
  struct Tap {
    uint64_t pixel;
    float weight, byColumn, byRow;
  };
  Tap taps[4];
  int count = 0;

  Taps(const float* place, const GridShape& shape) {
    const Coordinate column(place[0], shape.width, shape), row(place[1], shape.height, shape);
    if (shape.nearest != 0) {
      add(shape, std::nearbyint(column.at), std::nearbyint(row.at), {0, 1, 0, 0});
      return;
    }
    const float left = std::floor(column.at), top = std::floor(row.at);
    const float right = column.at - left, down = row.at - top;
    for (int i = 0; i < 4; ++i) {
      const bool isRight = i % 2 != 0, isDown = i >= 2;
      const float across = isRight ? right : 1 - right, along = isDown ? down : 1 - down;
      add(shape, isRight ? left + 1 : left, isDown ? top + 1 : top,
          {0, across * along, (isRight ? along : -along) * column.slope, (isDown ? across : -across) * row.slope});
    }
  }

 private:
  void add(const GridShape& shape, float column, float row, Tap tap) {
    if (!(column >= 0 && row >= 0)) return;
    const auto at = static_cast<uint32_t>(column), line = static_cast<uint32_t>(row);
    if (at >= shape.width || line >= shape.height) return;
    tap.pixel = uint64_t{line} * shape.width + at;
    taps[count++] = tap;
  }
};

struct GridSample {
  static constexpr const char* name = "gridSample";
  static constexpr const char* signature =
      "in:x in:grid out:y u32:batch u32:height u32:width u32:channels u32:points u32:nearest u32:border "
      "u32:alignCorners";
  Span x, grid, y;
  GridShape shape;

  const char* check() const { return shape.check(x, grid, y); }

  void run(Context& context) const {
    const uint64_t channels = shape.channels;
    context.team.parallelRange(shape.places(), copyGrain(4 * channels), [&](uint64_t place, uint64_t last) {
      for (; place < last; ++place) {
        const float* image = context.f32(x) + place / shape.points * shape.pixels() * channels;
        float* target = context.f32(y) + place * channels;
        const Taps found(context.f32(grid) + 2 * place, shape);
        memset(target, 0, channels * sizeof(float));
        for (int i = 0; i < found.count; ++i)
          addScaled(target, image + found.taps[i].pixel * channels, found.taps[i].weight, channels);
      }
    });
  }

  // target += weight·source
  static void addScaled(float* target, const float* source, float weight, uint64_t count) {
    eachVector(count, [&](size_t c, size_t lanes) {
      storeLanes(target + c, fma(loadLanes(source + c, lanes), splat(weight), loadLanes(target + c, lanes)), lanes);
    });
  }
};
RARE_KERNEL(GridSample)

// dx[pixel] = Σ weight·dy over the positions that read the pixel. dgrid = Σ x·dy·(derivative of the weight). Each adds
// to its old value if its bit of accumulate is set. A chunk owns some channels of an image, so that sums have a fixed
// order.
struct GridSampleBackward {
  static constexpr const char* name = "gridSampleBackward";
  static constexpr const char* signature =
      "in:dy in:x in:grid inout?:dx inout?:dgrid u32:batch u32:height u32:width u32:channels u32:points u32:nearest "
      "u32:border u32:alignCorners u32:accumulate";
  Span dy, x, grid, dx, dgrid;
  GridShape shape;
  uint32_t accumulate;

  const char* check() const {
    if (const char* wrong = shape.check(x, grid, dy)) return wrong;
    if (const char* wrong = shape.check(dx, dgrid.present() ? dgrid : grid, dy)) return wrong;
    return nullptr;
  }

  void run(Context& context) const {
    if (dx.present()) toImages(context);
    if (dgrid.present()) toPlaces(context);
  }

 private:
  void toImages(Context& context) const {
    constexpr uint64_t kChannels = 64;
    const uint64_t channels = shape.channels, across = divideUp(channels, kChannels);
    context.team.parallel(static_cast<uint32_t>(shape.batch * across), [&](uint32_t chunk) {
      const uint64_t image = chunk / across, channel = chunk % across * kChannels;
      const uint64_t width = channels - channel < kChannels ? channels - channel : kChannels;
      float* target = context.f32(dx) + image * shape.pixels() * channels + channel;
      if ((accumulate & 1) == 0)
        for (uint64_t pixel = 0; pixel < shape.pixels(); ++pixel)
          memset(target + pixel * channels, 0, width * sizeof(float));
      for (uint64_t place = image * shape.points; place < (image + 1) * shape.points; ++place) {
        const Taps found(context.f32(grid) + 2 * place, shape);
        const float* source = context.f32(dy) + place * channels + channel;
        for (int i = 0; i < found.count; ++i)
          GridSample::addScaled(target + found.taps[i].pixel * channels, source, found.taps[i].weight, width);
      }
    });
  }

  void toPlaces(Context& context) const {
    const uint64_t channels = shape.channels;
    context.team.parallelRange(shape.places(), copyGrain(4 * channels), [&](uint64_t place, uint64_t last) {
      for (; place < last; ++place) {
        const float* image = context.f32(x) + place / shape.points * shape.pixels() * channels;
        const float* source = context.f32(dy) + place * channels;
        float* target = context.f32(dgrid) + 2 * place;
        const Taps found(context.f32(grid) + 2 * place, shape);
        float byColumn = 0, byRow = 0;
        for (int i = 0; i < found.count; ++i) {
          const Taps::Tap& tap = found.taps[i];
          Vf products = {};
          eachVector(channels, [&](size_t c, size_t lanes) {
            products = fma(loadLanes(image + tap.pixel * channels + c, lanes), loadLanes(source + c, lanes), products);
          });
          const float total = sum(products);
          byColumn += total * tap.byColumn;
          byRow += total * tap.byRow;
        }
        target[0] = (accumulate & 2) != 0 ? target[0] + byColumn : byColumn;
        target[1] = (accumulate & 2) != 0 ? target[1] + byRow : byRow;
      }
    });
  }
};
TRAINING_KERNEL(GridSampleBackward)
