import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';

/** Where `RouterModule` notes the path of a module, behind it the id of the application. */
const MODULE_PATH = '__module_path__';

/** Finds the path that `RouterModule` gives to the module of a controller; empty for none. */
export const modulePaths =
  (modules: ModulesContainer) =>
  (type: Type): string => {
    for (const { metatype, controllers } of modules.values()) {
      if (![...controllers.values()].some((wrapper) => wrapper.metatype === type)) continue;
      const path: unknown = Reflect.getMetadata(MODULE_PATH + modules.applicationId, metatype);
      return typeof path === 'string' ? path : '';
    }
    return '';
  };
