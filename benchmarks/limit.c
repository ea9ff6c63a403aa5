/* What one core can do: an epoch of 784-16-16-10, sigmoid, squared error, plain SGD, written for vector registers.

   gcc -O3 -march=native -ffast-math -shared -fPIC limit.c -o limit.so -lm

   All layers are padded to 16 neurons, so a neuron's row is one vector. Weights are stored (in, out), the output layer's six
   unused columns get no gradient. The batch's images are converted from bytes once and stay in the second-level cache. */
#include <math.h>
#include <stdint.h>

#define PIXELS 784
#define WIDE 16
#define MOST 256
typedef float row __attribute__((vector_size(64), aligned(4)));

static float images[MOST][PIXELS] __attribute__((aligned(64)));
static float lit[3][MOST][WIDE] __attribute__((aligned(64)));
static float delta[3][MOST][WIDE] __attribute__((aligned(64)));

static void squash(float *values, int count) {
  for (int i = 0; i < count; i++) values[i] = 1.0f / (1.0f + expf(-fminf(30.0f, fmaxf(-30.0f, values[i]))));
}

/* weighted sums of `count` inputs for `size` images, four images at a time so that each weight row is read once for all */
static void forward(int size, int count, const float *in, const float *weights, const float *biases, float *out) {
  row bias = *(const row *)biases;
  int b = 0;
  for (; b + 8 <= size; b += 8) {
    row sum[8];
    for (int i = 0; i < 8; i++) sum[i] = bias;
    for (int k = 0; k < count; k++) {
      row weight = *(const row *)(weights + k * WIDE);
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) sum[i] += in[(b + i) * count + k] * weight;
    }
    for (int i = 0; i < 8; i++) *(row *)(out + (b + i) * WIDE) = sum[i];
  }
  for (; b < size; b++) {
    row sum = bias, other = {0};
    for (int k = 0; k < count; k += 2) {
      sum += in[b * count + k] * *(const row *)(weights + k * WIDE);
      other += in[b * count + k + 1] * *(const row *)(weights + (k + 1) * WIDE);
    }
    *(row *)(out + b * WIDE) = sum + other;
  }
  squash(out, size * WIDE);
}

/* weights -= in^T delta and biases -= sum of delta; the learning rate is in delta already */
static void descend(int size, int count, const float *in, const float *delta, float *weights, float *biases) {
  for (int k = 0; k < count; k += 16) {
    row w[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) w[i] = *(row *)(weights + (k + i) * WIDE);
    for (int b = 0; b < size; b++) {
      row d = *(const row *)(delta + b * WIDE);
#pragma GCC unroll 16
      for (int i = 0; i < 16; i++) w[i] -= in[b * count + k + i] * d;
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) *(row *)(weights + (k + i) * WIDE) = w[i];
  }
  row sum = {0};
  for (int b = 0; b < size; b++) sum += *(const row *)(delta + b * WIDE);
  *(row *)biases -= sum;
}

/* one layer down: delta below = (weights delta) * slope of the sigmoid */
static void back(int size, const float *above, const float *weights, const float *values, float *below) {
  float turned[WIDE * WIDE] __attribute__((aligned(64)));
  for (int i = 0; i < WIDE; i++)
    for (int j = 0; j < WIDE; j++) turned[j * WIDE + i] = weights[i * WIDE + j];
  for (int b = 0; b < size; b++) {
    row sum = {0};
    for (int j = 0; j < WIDE; j++) sum += above[b * WIDE + j] * *(const row *)(turned + j * WIDE);
    row a = *(const row *)(values + b * WIDE);
    *(row *)(below + b * WIDE) = sum * a * (1.0f - a);
  }
}

/* order holds steps * size indices; weights[l] is (in, 16), biases[l] is 16, all layers' outputs padded to 16 */
void epoch(const uint8_t *pixels, const uint8_t *labels, const int32_t *order, int steps, int size, float rate,
           float *w1, float *b1, float *w2, float *b2, float *w3, float *b3) {
  for (int s = 0; s < steps; s++) {
    const int32_t *batch = order + (long)s * size;
    for (int b = 0; b < size; b++) {
      const uint8_t *from = pixels + (long)batch[b] * PIXELS;
      for (int k = 0; k < PIXELS; k++) images[b][k] = from[k] * (1.0f / 255.0f);
      if (s + 1 < steps) {
        const uint8_t *next = pixels + (long)batch[b + size] * PIXELS;
        for (int k = 0; k < PIXELS; k += 64) __builtin_prefetch(next + k);
      }
    }
    forward(size, PIXELS, &images[0][0], w1, b1, &lit[0][0][0]);
    forward(size, WIDE, &lit[0][0][0], w2, b2, &lit[1][0][0]);
    forward(size, WIDE, &lit[1][0][0], w3, b3, &lit[2][0][0]);
    for (int b = 0; b < size; b++)
      for (int j = 0; j < WIDE; j++) {
        float a = lit[2][b][j];
        delta[2][b][j] = j < 10 ? 2.0f * (a - (j == labels[batch[b]])) * a * (1.0f - a) * rate / size : 0.0f;
      }
    back(size, &delta[2][0][0], w3, &lit[1][0][0], &delta[1][0][0]);
    back(size, &delta[1][0][0], w2, &lit[0][0][0], &delta[0][0][0]);
    descend(size, WIDE, &lit[1][0][0], &delta[2][0][0], w3, b3);
    descend(size, WIDE, &lit[0][0][0], &delta[1][0][0], w2, b2);
    descend(size, PIXELS, &images[0][0], &delta[0][0][0], w1, b1);
  }
}
