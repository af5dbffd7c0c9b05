declare const digestBrand: unique symbol;

/**
 * A checked content digest, `sha256:<64 hex>` or `sha512:<128 hex>`.
 * A plain string becomes one only through `parseDigest` of the `image/` room.
 *
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md#digests
 */
export type Digest = string & { readonly [digestBrand]: 'Digest' };
