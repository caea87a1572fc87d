
typedef struct {
    int inputs, height, width;           /* of what comes in */
    int outputs, out_height, out_width;  /* of what goes out */
    int side, stride, top, left;         /* of the kernel; zeros before rows and columns */
    int pooled;                          /* 1: maximum of 2 x 2 */
    float slope;                         /* of the activation for negative values */
    const cnn_weight *kernel;            /* [outputs][inputs][side][side] */
    const float *step;                   /* [outputs] value of a kernel's unit, or null for 1 */
    const float *bias;                   /* [outputs], or null */
    const float *scale, *shift;          /* [outputs] */
} cnn_layer;

/* One output of a convolution behind its activation. */
static inline float cnn_convolve(const cnn_layer *l, const float *in, int o, int y, int x)
{
    const cnn_weight *kernel = l->kernel + (long)o * l->inputs * l->side * l->side;
    float sum = 0.0f;
    int i, row, col;
    for (i = 0; i < l->inputs; ++i) {
        for (row = 0; row < l->side; ++row) {
            const int in_y = y * l->stride + row - l->top;
            if (in_y < 0 || in_y >= l->height)
                continue;
            for (col = 0; col < l->side; ++col) {
                const int in_x = x * l->stride + col - l->left;
                if (in_x < 0 || in_x >= l->width)
                    continue;
                sum += (float)kernel[(i * l->side + row) * l->side + col]
                    * in[((long)i * l->height + in_y) * l->width + in_x];
            }
        }
    }
    if (l->step)
        sum *= l->step[o];
    if (l->bias)
        sum += l->bias[o];
    return sum > 0.0f ? sum : sum * l->slope;
}

static inline void cnn_run(const cnn_layer *l, const float *in, float *out)
{
    int o, y, x, n;
    for (o = 0; o < l->outputs; ++o) {
        for (y = 0; y < l->out_height; ++y) {
            for (x = 0; x < l->out_width; ++x) {
                float best;
                if (l->pooled) {
                    best = cnn_convolve(l, in, o, 2 * y, 2 * x);
                    for (n = 1; n < 4; ++n) {
                        const float value = cnn_convolve(l, in, o, 2 * y + n / 2, 2 * x + n % 2);
                        if (value > best)
                            best = value;
                    }
                } else {
                    best = cnn_convolve(l, in, o, y, x);
                }
                *out++ = best * l->scale[o] + l->shift[o];
            }
        }
    }
}
