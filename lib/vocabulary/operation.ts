/** What the host is doing when it asks for an image. Carried by every event of the pull. */
export interface Operation {
  /** `database`, `app` or any word of the host's own; policies can differ per kind. */
  readonly kind: string;
  /** The host's own identifier of this operation. */
  readonly id?: string;
}
