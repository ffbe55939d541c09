declare module 'cluster-key-slot' {
  /** The slot of a Cluster, 0 to 16383, that keeps a key. */
  export default function slotOf(key: string): number;
}
