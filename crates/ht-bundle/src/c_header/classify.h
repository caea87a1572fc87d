
/* Logits of one image: [CNN_CHANNELS][CNN_HEIGHT][CNN_WIDTH] bytes in, CNN_LABELS numbers out.
 * The label is that of the largest logit. Not for two threads at once: the memory is static. */
static inline void cnn_classify(const uint8_t *image, float *logits)
{
    static float memory_a[CNN_MEMORY_A], memory_b[CNN_MEMORY_B];
    float *in = memory_a, *out = memory_b;
    const cnn_layer *last = &cnn_layers[CNN_LAYERS - 1];
    const int pixels = last->out_height * last->out_width;
    int i, l, n;
    for (i = 0; i < CNN_CHANNELS * CNN_HEIGHT * CNN_WIDTH; ++i)
        in[i] = (float)image[i] / 128.0f - 1.0f;
    for (l = 0; l < CNN_LAYERS; ++l) {
        float *other = in;
        cnn_run(&cnn_layers[l], in, out);
        in = out;
        out = other;
    }
    for (n = 0; n < CNN_LABELS; ++n) {
        const cnn_weight *kernel = cnn_logits_kernel + (long)n * CNN_FEATURES;
        float sum = 0.0f;
        for (i = 0; i < last->outputs * pixels; ++i) {
            /* Activations are in C, H, W order, the kernel in H, W, C. */
            const int channel = i / pixels, pixel = i % pixels;
#if CNN_MEAN
            sum += (float)kernel[channel] * in[i] / (float)pixels;
            (void)pixel;
#else
            sum += (float)kernel[pixel * last->outputs + channel] * in[i];
#endif
        }
#if CNN_INT8
        sum *= cnn_logits_step[n];
#endif
        logits[n] = sum + cnn_logits_bias[n];
    }
}

#endif
