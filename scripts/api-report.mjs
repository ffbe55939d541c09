// The public names of each entry point and their types, as a text that is checked in: docs/api/*.api.md. With `--check`
// it fails when the built library has others, so that none changes unseen.
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { root } from './run.mjs';

/** The declarations of each entry point of package.json, by the name of its report. */
const entries = Object.entries(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([subpath, target]) => [subpath === '.' ? 'index' : subpath.slice(2), target.import.types]);
const isCheck = process.argv.includes('--check');
const folder = join(root, 'docs', 'api');
const none = { default: { logLevel: 'none' } };

mkdirSync(folder, { recursive: true });
for (const [name, entry] of entries) {
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(root, 'package.json'),
    configObject: {
      projectFolder: root,
      mainEntryPointFilePath: join(root, entry),
      compiler: { tsconfigFilePath: join(root, 'tsconfig.build.json') },
      apiReport: {
        enabled: true,
        reportFileName: `${name}.api.md`,
        reportFolder: folder,
        reportTempFolder: join(root, 'node_modules', '.api-report'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: none,
        extractorMessageReporting: none,
        tsdocMessageReporting: none,
      },
    },
  });
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: !isCheck,
    messageCallback: (message) => {
      message.handled = true;
    },
  });
  if (!apiReportChanged) continue;
  console.log(
    `docs/api/${name}.api.md ${isCheck ? 'is not what the library exports. Run npm run api-report.' : 'was written.'}`,
  );
  if (isCheck) process.exitCode = 1;
}
