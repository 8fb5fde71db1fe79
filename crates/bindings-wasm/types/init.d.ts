// Generated from lib/init.ts by scripts/declarations.mjs: do not edit.
/** From WebAssembly to an engine that can be asked. */
/** Where the WebAssembly comes from, where it is not fetched from beside the package. */
export interface InitOptions {
    /**
     * A compiled module (which Workers import, and which may be posted to them), its bytes, the answer of a `fetch`, or its
     * URL.
     */
    module?: WebAssembly.Module | BufferSource | Response | Promise<Response> | URL | string;
}
/** What wasm-bindgen makes around the WebAssembly. */
export interface Glue {
    default(options: {
        module_or_path: InitOptions['module'];
    }): Promise<unknown>;
}
type Build = 'core' | 'full';
/** Begins once; what failed may be tried again. */
export declare function begin(build: Build, glue: Glue, nearby: () => URL, { module }: InitOptions): Promise<void>;
export {};
